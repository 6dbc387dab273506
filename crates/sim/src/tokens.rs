use tower_bedrock_core::Content;

/// What goes into a model, as far as the simulator needs to know it: how many tokens it is.
///
/// ```
/// use bedrock_sim::{ContentClass, Input};
///
/// let mut input = Input::default();
/// input.add_message();
/// input.add_text("Say hello, please.");
/// assert_eq!(input.tokens(1.0), 9);
/// assert_eq!(input.tokens(1.35), 13); // another model's tokenizer
///
/// // Text that nobody wrote, by its size. Class by class it is as dense as the real thing.
/// let mut code = Input::default();
/// code.add(ContentClass::Code, 30_000);
/// let mut prose = Input::default();
/// prose.add(ContentClass::Prose, 30_000);
/// assert!(code.tokens(1.0) > prose.tokens(1.0));
/// ```
///
/// It holds sizes and no text.
///
/// # The rule
///
/// The base tokenizer counts, from left to right:
///
/// | piece of text | tokens |
/// |---|---|
/// | a run of ASCII letters | 1 for every 6 letters begun |
/// | a run of ASCII digits | 1 for every 3 digits begun |
/// | a run of ASCII punctuation | 1 for every 2 characters begun |
/// | a single space | none: it goes with the word after it |
/// | a run of more white space, or a line's end | 1 |
/// | a Chinese, Japanese or Korean character | 1.13 |
/// | any other letter | 0.45 |
/// | any other character (emoji, symbols) | 2 |
///
/// A tool's JSON counts a tenth more than its text, and the first tool brings a preamble of 313 tokens, as
/// real models' prompt formats do. A message costs 4 tokens, an image 1,334. A model multiplies the sum by
/// its own ratio and rounds up. So bytes a token differ by model and by content, and no estimate that goes
/// by bytes alone is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Of the base tokenizer.
    milli_tokens: u64,
    /// Of any model.
    exact: u64,
    has_tools: bool,
    content: Content,
}

/// The kinds of content, each with its own number of bytes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentClass {
    /// English text: 0.228 base tokens a byte.
    Prose,
    /// Source code: 0.331.
    Code,
    /// JSON in a message: 0.371.
    Json,
    /// Chinese, Japanese or Korean text, three bytes a character: 0.377.
    Cjk,
    /// Tool definitions, inputs and results, as JSON: 0.408.
    Tool,
    /// Attached documents, most of which is not text: 0.187.
    Document,
}

const MESSAGE: u64 = 4_000;
const TOOL_PREAMBLE: u64 = 313_000;
const IMAGE: u64 = 1_334_000;

impl Input {
    /// An input of exactly so many tokens, whatever the model.
    #[must_use]
    pub fn of_tokens(tokens: u64) -> Self {
        Self {
            exact: tokens,
            ..Self::default()
        }
    }

    /// An input of so many bytes of one class.
    #[must_use]
    pub fn of_bytes(class: ContentClass, bytes: u64) -> Self {
        let mut input = Self::default();
        input.add(class, bytes);
        input
    }

    /// Adds text that nobody wrote: so many bytes of a class.
    pub fn add(&mut self, class: ContentClass, bytes: u64) {
        self.add_milli(bytes.saturating_mul(class.milli_tokens_per_byte()));
        let content = &mut self.content;
        let size = match class {
            ContentClass::Prose | ContentClass::Code | ContentClass::Json => {
                &mut content.ascii_bytes
            }
            ContentClass::Cjk => &mut content.non_ascii_bytes,
            ContentClass::Tool => &mut content.tool_bytes,
            ContentClass::Document => &mut content.document_bytes,
        };
        *size = size.saturating_add(bytes);
        if class == ContentClass::Tool {
            self.add_tool_preamble();
        }
    }

    /// Adds text.
    pub fn add_text(&mut self, text: &str) {
        self.add_milli(milli_tokens(text));
        self.content.add_text(text);
    }

    /// Adds the beginning of a message: what a model's prompt format costs for each.
    pub fn add_message(&mut self) {
        self.add_milli(MESSAGE);
    }

    /// Adds a tool's definition, input or result, as JSON text.
    pub fn add_tool_json(&mut self, json: &str) {
        let milli = milli_tokens(json);
        self.add_milli(milli.saturating_add(milli / 10));
        let bytes = &mut self.content.tool_bytes;
        *bytes = bytes.saturating_add(json.len() as u64);
        self.add_tool_preamble();
    }

    /// Adds an attached document of so many bytes.
    pub fn add_document(&mut self, bytes: u64) {
        self.add(ContentClass::Document, bytes);
    }

    /// Adds an image.
    pub fn add_image(&mut self) {
        self.add_milli(IMAGE);
        self.content.images = self.content.images.saturating_add(1);
    }

    /// How many tokens it is for a model of the given [`tokenizer_ratio`](crate::ModelSettings), rounded
    /// up. Saturates instead of overflowing.
    #[must_use]
    pub fn tokens(&self, tokenizer_ratio: f64) -> u64 {
        // In whole permille, so that the count does not depend on how a fraction is rounded.
        let permille = (tokenizer_ratio * 1_000.0).round() as u64;
        let tokens = u128::from(self.milli_tokens) * u128::from(permille);
        u64::try_from(tokens.div_ceil(1_000_000))
            .unwrap_or(u64::MAX)
            .saturating_add(self.exact)
    }

    /// The sizes that a client sees, to estimate from.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// The tokens that are exactly known, whatever the model.
    pub(crate) const fn exact_tokens(&self) -> u64 {
        self.exact
    }

    fn add_milli(&mut self, milli_tokens: u64) {
        self.milli_tokens = self.milli_tokens.saturating_add(milli_tokens);
    }

    fn add_tool_preamble(&mut self) {
        if !std::mem::replace(&mut self.has_tools, true) {
            self.add_milli(TOOL_PREAMBLE);
        }
    }
}

impl ContentClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Prose,
        Self::Code,
        Self::Json,
        Self::Cjk,
        Self::Tool,
        Self::Document,
    ];

    /// What the rule for texts comes to on typical ones, and about two thirds of prose for documents.
    const fn milli_tokens_per_byte(self) -> u64 {
        match self {
            Self::Prose => 228,
            Self::Code => 331,
            Self::Json => 371,
            Self::Cjk => 377,
            Self::Tool => 408,
            Self::Document => 187,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Letters,
    Digits,
    Punctuation,
    Space,
    Cjk,
    OtherLetter,
    Other,
}

impl Piece {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | 'A'..='Z' => Self::Letters,
            '0'..='9' => Self::Digits,
            c if c.is_ascii_punctuation() => Self::Punctuation,
            c if c.is_whitespace() => Self::Space,
            // Kana and Han; Hangul; compatibility ideographs; full-width forms; the planes of rare Han.
            '\u{2e80}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff00}'..='\u{ffef}'
            | '\u{20000}'..='\u{3ffff}' => Self::Cjk,
            c if c.is_alphanumeric() => Self::OtherLetter,
            _ => Self::Other,
        }
    }

    /// What a run of `count` characters comes to; `more` where the run is white space that is more than
    /// one space.
    const fn milli_tokens(self, count: u64, more: bool) -> u64 {
        match self {
            Self::Letters => count.div_ceil(6) * 1_000,
            Self::Digits => count.div_ceil(3) * 1_000,
            Self::Punctuation => count.div_ceil(2) * 1_000,
            Self::Space if more => 1_000,
            Self::Space => 0,
            Self::Cjk => count * 1_130,
            Self::OtherLetter => count * 450,
            Self::Other => count * 2_000,
        }
    }
}

fn milli_tokens(text: &str) -> u64 {
    let mut sum: u64 = 0;
    let (mut run, mut count, mut more) = (Piece::Space, 0_u64, false);
    for c in text.chars() {
        let piece = Piece::of(c);
        if piece != run {
            sum = sum.saturating_add(run.milli_tokens(count, more));
            (run, count, more) = (piece, 0, false);
        }
        count += 1;
        more |= count > 1 || c != ' ';
    }
    sum.saturating_add(run.milli_tokens(count, more))
}

#[cfg(test)]
mod tests;
