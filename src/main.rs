//! The program `manifold` with the gateways of this project.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    manifold::run(manifold::gateways())
}
