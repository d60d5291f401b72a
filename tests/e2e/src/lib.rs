//! End to end: foreign clients against the built server. Everything is in `tests/it`, with the
//! clients' scripts in `py` and `js`.
