mod barrier;
mod bench;
mod model;
mod races;
mod seeds;
mod sessions;
mod simulate;
mod strategies;
