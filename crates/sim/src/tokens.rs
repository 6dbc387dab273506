use tower_bedrock_core::Content;

/// What goes into a model, as far as the simulator needs to know it: how many tokens it is.
///
/// It holds sizes and no text. Filled either from real text ([`add_text`](Self::add_text)) or from the
/// sizes of text that nobody wrote ([`add`](Self::add)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    milli_tokens: u64,
    exact: u64,
    has_tools: bool,
    content: Content,
}

/// The kinds of content, each with its own number of bytes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentClass {
    /// English text.
    Prose,
    /// Source code.
    Code,
    /// JSON in a message.
    Json,
    /// Chinese, Japanese or Korean text.
    Cjk,
    /// Tool definitions, inputs and results.
    Tool,
    /// Attached documents.
    Document,
}

impl Input {
    /// An input of exactly so many tokens, whatever the model.
    #[must_use]
    pub fn of_tokens(tokens: u64) -> Self {
        Self {
            exact: tokens,
            ..Self::default()
        }
    }

    /// Adds text that nobody wrote: so many bytes of a class.
    pub fn add(&mut self, class: ContentClass, bytes: u64) {
        let _ = class;
        self.milli_tokens = self.milli_tokens.saturating_add(bytes.saturating_mul(250));
    }

    /// Adds text.
    pub fn add_text(&mut self, text: &str) {
        self.add(ContentClass::Prose, text.len() as u64);
    }

    /// Adds the beginning of a message: what a model's prompt format costs for each.
    pub fn add_message(&mut self) {
        self.milli_tokens = self.milli_tokens.saturating_add(4_000);
    }

    /// Adds a tool's definition, input or result, as JSON text.
    pub fn add_tool_json(&mut self, json: &str) {
        self.add(ContentClass::Tool, json.len() as u64);
        self.has_tools = true;
    }

    /// Adds an attached document of so many bytes.
    pub fn add_document(&mut self, bytes: u64) {
        self.add(ContentClass::Document, bytes);
    }

    /// Adds an image.
    pub fn add_image(&mut self) {
        self.milli_tokens = self.milli_tokens.saturating_add(1_334_000);
    }

    /// The sizes that a client sees, to estimate from.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }
}
