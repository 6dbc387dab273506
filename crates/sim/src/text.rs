use std::borrow::Cow;

/// What the simulator says, a token a word, over and over.
const WORDS: [&str; 23] = [
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
    "asked, ",
    "and ",
    "nothing ",
    "of ",
    "it ",
    "is ",
    "meant: ",
    "only ",
    "its ",
    "length ",
    "is ",
    "true. ",
    "\n",
];

/// So many words, from the word of the given number on.
pub(crate) fn words(first: u64, count: u64) -> Cow<'static, str> {
    let word = |number: u64| WORDS[(number % WORDS.len() as u64) as usize];
    if count == 1 {
        return Cow::Borrowed(word(first));
    }
    (first..first.saturating_add(count)).map(word).collect()
}
