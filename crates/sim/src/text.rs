/// What the simulator says, a token a word, over and over.
const WORDS: &[&str] = &[
    "This ",
    "is ",
    "a ",
    "simulated ",
    "answer ",
    "from ",
    "bedrock-sim. ",
    "No ",
    "model ",
    "was ",
    "asked. ",
];

/// The words from `first` on, `tokens` of them.
pub(crate) fn text(first: u64, tokens: u64) -> String {
    let period = WORDS.len() as u64;
    (first..first.saturating_add(tokens))
        .map(|token| WORDS[(token % period) as usize])
        .collect()
}
