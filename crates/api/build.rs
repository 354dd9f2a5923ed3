//! Builds this crate again when the user interface was built again: its files are embedded.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
