//! The fields of events and spans as plain text, for logs that no terminal shows: `name=value`, texts in quotes.
//!
//! What `tracing_subscriber` writes without colours, for a third of what it costs: every call leaves an event.

use std::{
    error::Error,
    fmt::{self, Debug, Write},
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// The one field that is written without its name.
const MESSAGE: &str = "message";

/// Writes fields as plain text.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer: OneLine(writer),
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<W> {
    writer: OneLine<W>,
    is_empty: bool,
    result: fmt::Result,
}

impl<W: Write> Line<W> {
    fn add(&mut self, field: &Field, value: impl FnOnce(&mut OneLine<W>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.name(field).and_then(|()| value(&mut self.writer));
        }
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        let writer = &mut self.writer.0;
        if !std::mem::replace(&mut self.is_empty, false) {
            writer.write_char(' ')?;
        }
        match field.name() {
            MESSAGE => Ok(()),
            name => {
                writer.write_str(name)?;
                writer.write_char('=')
            }
        }
    }
}

impl<W: Write> Visit for Line<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, |writer| write!(writer, "{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, |writer| {
            writer.0.write_str(itoa::Buffer::new().format(value))
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, |writer| {
            writer.0.write_str(itoa::Buffer::new().format(value))
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |writer| match field.name() {
            MESSAGE => writer.write_str(value),
            _ if needs_no_escape(value) => {
                let writer = &mut writer.0;
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            }
            _ => write!(writer, "{value:?}"),
        });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, |writer| {
            write!(writer, "{value}")?;
            let mut causes = std::iter::successors(value.source(), |error| (*error).source());
            causes.try_for_each(|cause| write!(writer, ": {cause}"))
        });
    }
}

/// Keeps what is written on one line and from steering a terminal: whoever can put a text into a log could forge
/// lines with it.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(is_printable) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())
            } else {
                self.0.write_char(c)
            }
        })
    }
}

/// Whether the text in quotes is the text itself.
fn needs_no_escape(text: &str) -> bool {
    text.bytes()
        .all(|byte| is_printable(byte) && byte != b'"' && byte != b'\\')
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Logs(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Logs {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let logs = Logs::default();
        let writer = logs.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(PlainFields)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = logs.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn fields_have_names_and_texts_have_quotes() {
        let line = logged(|| {
            let span = tracing::info_span!("request", id = "7", later = tracing::field::Empty);
            span.record("later", true);
            span.in_scope(|| {
                let absent: Option<u64> = None;
                tracing::info!(text = "a \"b\"", number = -1, share = 0.5, displayed = %"c", absent, "said {}", 1);
            });
        });
        let expected = r#" INFO request{id="7" later=true}: said 1 text="a \"b\"" number=-1 share=0.5 displayed=c"#;
        assert_eq!(line.trim_end_matches('\n'), expected);
    }

    #[test]
    fn nothing_breaks_a_line_or_steers_a_terminal() {
        let line = logged(|| {
            let evil = "a\n\u{1b}[31m\u{9b}é";
            let error = io::Error::other(evil);
            let error: &(dyn Error + 'static) = &error;
            tracing::info!(evil, displayed = %evil, error, "{evil}");
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().contains(char::is_control), "{line}");
        assert_eq!(line.matches("é").count(), 4, "{line}");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let line = logged(|| {
            let error = Outer(io::Error::other("inner"));
            tracing::info!(error = &error as &(dyn Error + 'static), "failed");
        });
        assert!(line.contains("failed error=outer: inner"), "{line}");
    }
}
