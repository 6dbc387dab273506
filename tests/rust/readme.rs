//! What the README shows is what the crate's documentation compiles.

#[test]
fn the_five_lines_are_those_of_the_crates_first_example() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    // There they are indented, in a `main`.
    let documented: String = include_str!("../../crates/tower-bedrock/src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!     "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(documented.contains(shown), "expected:\n{shown}");
}
