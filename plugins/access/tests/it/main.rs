//! The plug-ins as the core calls them.
