mod bench;
mod model;
mod simulate;
