//! The stock node.
fn main() {}
