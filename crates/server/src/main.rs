//! The binary `andon`.
fn main() {}
