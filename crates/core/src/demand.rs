/// What a call may cost, known before it is sent: the input tokens it is estimated to have, and the
/// most output tokens it may produce.
///
/// ```
/// use tower_bedrock_core::{Content, Demand};
///
/// let demand = Demand::new(1_000).with_max_output_tokens(64_000);
/// assert_eq!(demand.input_tokens(), 1_000);
///
/// // Where nobody has counted the tokens, the content's size gives a first estimate.
/// let demand = Demand::from(Content { ascii_bytes: 4_000, ..Content::default() });
/// assert_eq!(demand.input_tokens(), 1_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    input_tokens: u64,
    max_output_tokens: Option<u64>,
    content: Content,
}

/// The size of a request's content by class, as far as it tells how many tokens it will be. Sizes only:
/// nothing of the text itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes of text that are ASCII.
    pub ascii_bytes: u64,
    /// Bytes of text that are not ASCII (a CJK character is three of them).
    pub non_ascii_bytes: u64,
    /// Bytes of tool definitions, tool inputs and tool results, as JSON.
    pub tool_bytes: u64,
    /// Bytes of attached documents, as sent (after decoding base64).
    pub document_bytes: u64,
    /// Number of images.
    pub images: u64,
}

/// A request that says what it may cost.
pub trait HasDemand {
    /// What the call may cost.
    fn demand(&self) -> Demand;

    /// Bounds the output the model may produce, and answers whether the request could be changed so.
    /// Requests that cannot need not implement this.
    fn set_max_output_tokens(&mut self, max_output_tokens: u64) -> bool {
        let _ = max_output_tokens;
        false
    }
}

impl Demand {
    /// A demand of so many input tokens, with no bound on the output.
    #[must_use]
    pub const fn new(input_tokens: u64) -> Self {
        Self {
            input_tokens,
            max_output_tokens: None,
            content: Content::EMPTY,
        }
    }

    /// Bounds the output (`max_tokens`). Without a bound Bedrock counts the model's own maximum.
    #[must_use]
    pub const fn with_max_output_tokens(mut self, max_output_tokens: u64) -> Self {
        self.max_output_tokens = Some(max_output_tokens);
        self
    }

    /// Adds the sizes the estimate was made from, so that an estimator that has learnt better can make
    /// its own.
    #[must_use]
    pub const fn with_content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// Input tokens, estimated.
    #[must_use]
    pub const fn input_tokens(&self) -> u64 {
        self.input_tokens
    }

    /// The bound on output tokens, or `None` where the request sets none.
    #[must_use]
    pub const fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// The sizes behind the estimate; all zero where they are not known.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }
}

impl Content {
    const EMPTY: Self = Self {
        ascii_bytes: 0,
        non_ascii_bytes: 0,
        tool_bytes: 0,
        document_bytes: 0,
        images: 0,
    };

    /// Adds a piece of text.
    pub fn add_text(&mut self, text: &str) {
        let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
        self.ascii_bytes = self.ascii_bytes.saturating_add(ascii);
        self.non_ascii_bytes = self
            .non_ascii_bytes
            .saturating_add(text.len() as u64 - ascii);
    }

    /// All bytes counted, images aside.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.ascii_bytes
            .saturating_add(self.non_ascii_bytes)
            .saturating_add(self.tool_bytes)
            .saturating_add(self.document_bytes)
    }

    /// A first estimate of the input tokens, for a model nothing is known about yet: four bytes of ASCII
    /// text a token, three of other text, three of tool JSON, four of a document, and 1,600 tokens an
    /// image (Anthropic's figure for the largest image it does not scale down). Rounded up.
    #[must_use]
    pub const fn estimated_tokens(&self) -> u64 {
        self.ascii_bytes
            .div_ceil(4)
            .saturating_add(self.non_ascii_bytes.div_ceil(3))
            .saturating_add(self.tool_bytes.div_ceil(3))
            .saturating_add(self.document_bytes.div_ceil(4))
            .saturating_add(self.images.saturating_mul(1_600))
    }
}

/// A demand whose input tokens are the content's first estimate.
impl From<Content> for Demand {
    fn from(content: Content) -> Self {
        Self::new(content.estimated_tokens()).with_content(content)
    }
}
