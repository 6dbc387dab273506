//! Records in the form of Bedrock's batch inference.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A line of the input.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "recordId", borrow, default)]
    record_id: Option<&'a RawValue>,
    #[serde(rename = "modelInput", borrow, default)]
    model_input: Option<&'a RawValue>,
}

/// What a line of the input asks for.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) id: String,
    /// A JSON object, as it was written.
    pub(super) model_input: &'a RawValue,
}

/// A line of the output.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "recordId")]
    record_id: &'a str,
    #[serde(rename = "modelInput")]
    model_input: &'a RawValue,
    #[serde(rename = "modelOutput", skip_serializing_if = "Option::is_none")]
    model_output: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RecordError>,
}

/// Why a record has no output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordError {
    /// A status of HTTP's.
    pub(super) error_code: u16,
    /// The exception's name and what it says.
    pub(super) error_message: String,
}

/// A line of the output, as far as it tells what it answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered<'a> {
    #[serde(rename = "recordId")]
    record_id: String,
    #[serde(rename = "modelInput", borrow)]
    model_input: &'a RawValue,
    #[serde(rename = "modelOutput", borrow, default)]
    model_output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What a line of the output says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnsweredRecord<'a> {
    pub(super) id: String,
    pub(super) model_input: &'a str,
    /// The line of the input that it refuses.
    pub(super) refused_line: Option<u64>,
}

/// What a line that is no record gets for a model input.
const NO_INPUT: &str = "null";
/// The code of an error that refuses a line, and how its message begins: by these it is known again.
const REFUSED: u16 = 400;
const REFUSED_LINE: &str = "ValidationException: line ";

impl<'a> Record<'a> {
    /// Reads a line of the input. A record without an id gets one that tells its line.
    ///
    /// # Errors
    ///
    /// Which field is wrong, and what is expected.
    pub(super) fn parse(line: &'a [u8], number: u64) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
        // What a struct may be read from otherwise.
        if text.trim_start().starts_with('[') {
            return Err("not a JSON object: an array".to_owned());
        }
        let line: Line<'_> =
            serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
        let id = match line.record_id {
            None => id_of_line(number),
            Some(id) => match serde_json::from_str::<String>(id.get()) {
                Ok(id) if !id.is_empty() => id,
                _ => return Err("recordId: expected a string that is not empty".to_owned()),
            },
        };
        match line.model_input {
            Some(input) if input.get().starts_with('{') => Ok(Self {
                id,
                model_input: input,
            }),
            Some(_) => Err("modelInput: expected a JSON object".to_owned()),
            None => Err("modelInput: missing".to_owned()),
        }
    }

    /// The line of the output that answers it.
    pub(super) fn answer(&self, output: &RawValue) -> serde_json::Result<Vec<u8>> {
        line(&Answer {
            record_id: &self.id,
            model_input: self.model_input,
            model_output: Some(output),
            error: None,
        })
    }

    /// The line of the output that says why it has no answer.
    pub(super) fn failure(&self, error: &RecordError) -> serde_json::Result<Vec<u8>> {
        line(&Answer {
            record_id: &self.id,
            model_input: self.model_input,
            model_output: None,
            error: Some(error),
        })
    }
}

/// The line of the output for a line of the input that is no record, or whose id is another's.
pub(super) fn refusal(refused: &[u8], number: u64, why: &str) -> serde_json::Result<Vec<u8>> {
    let (id, model_input) = of_refused(refused, number);
    line(&Answer {
        record_id: &id,
        model_input: serde_json::from_str(model_input)?,
        model_output: None,
        error: Some(&RecordError {
            error_code: REFUSED,
            error_message: format!("{REFUSED_LINE}{number}: {why}"),
        }),
    })
}

/// The id and the input that the output has for a line that is refused.
pub(super) fn of_refused(refused: &[u8], number: u64) -> (String, &str) {
    match Record::parse(refused, number) {
        Ok(record) => (record.id, record.model_input.get()),
        Err(_) => (id_of_line(number), NO_INPUT),
    }
}

impl RecordError {
    /// The line of the input that it refuses, if it refuses one. What follows the number is for people, and may change.
    fn refused_line(&self) -> Option<u64> {
        let says = self.error_message.strip_prefix(REFUSED_LINE)?;
        let (number, _) = says.split_once(':')?;
        let number = number.parse().ok()?;
        (self.error_code == REFUSED).then_some(number)
    }
}

/// Reads a line of an output, where it is one.
pub(super) fn answered(line: &[u8]) -> Option<AnsweredRecord<'_>> {
    line.starts_with(b"{").then_some(())?;
    let line: Answered<'_> = serde_json::from_slice(line).ok()?;
    let either = line.model_output.is_some() != line.error.is_some();
    let error: Option<RecordError> = line
        .error
        .and_then(|error| serde_json::from_str(error.get()).ok());
    either.then(|| AnsweredRecord {
        id: line.record_id,
        model_input: line.model_input.get(),
        refused_line: error.and_then(|error| error.refused_line()),
    })
}

/// Whether what stands in an output is the input of a record, which may have had line breaks of its own.
pub(super) fn is_same_input(of_record: &str, written: &str) -> bool {
    of_record.bytes().map(in_one_line).eq(written.bytes())
}

/// Eleven characters, as Bedrock's own are.
fn id_of_line(number: u64) -> String {
    format!("LINE{number:07}")
}

fn line(answer: &Answer<'_>) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(answer)?;
    // There may be some between the parts of a model's output, or of its input; within strings there are none.
    for byte in &mut line {
        *byte = in_one_line(*byte);
    }
    line.push(b'\n');
    Ok(line)
}

/// Line breaks between tokens are spaces as well.
const fn in_one_line(byte: u8) -> u8 {
    match byte {
        b'\n' | b'\r' => b' ',
        byte => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_record_is_told_which_field_is_wrong() {
        for (line, expected) in [
            ("", "not a JSON object: "),
            ("[]", "not a JSON object: "),
            (r#"["a", {}]"#, "not a JSON object: "),
            (r#"{"recordId": 1, "modelInput": {}}"#, "recordId: expected"),
            (
                r#"{"recordId": "", "modelInput": {}}"#,
                "recordId: expected",
            ),
            (r#"{"recordId": "a"}"#, "modelInput: missing"),
            (
                r#"{"recordId": "a", "modelInput": null}"#,
                "modelInput: missing",
            ),
            (
                r#"{"recordId": "a", "modelInput": []}"#,
                "modelInput: expected",
            ),
        ] {
            let error = Record::parse(line.as_bytes(), 1).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
        assert!(
            Record::parse(b"\xff", 1)
                .unwrap_err()
                .starts_with("not UTF-8")
        );
    }

    #[test]
    fn what_is_written_is_one_line_and_is_recognised() {
        let line = br#"{"modelInput": {"a": "b\n"}}"#;
        let record = Record::parse(line, 7).unwrap();
        assert_eq!(record.id, "LINE0000007");
        let output: &RawValue = serde_json::from_str("{\n\"c\": \"d\\n\"\r\n}").unwrap();
        let answer = record.answer(output).unwrap();
        let expected = concat!(
            r#"{"recordId":"LINE0000007","modelInput":{"a": "b\n"},"#,
            r#""modelOutput":{ "c": "d\n"  }}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(answer.clone()).unwrap(), expected);
        let again = answered(&answer).unwrap();
        assert_eq!(again.id, "LINE0000007");
        assert_eq!(again.model_input, r#"{"a": "b\n"}"#);
        assert_eq!(again.refused_line, None);
        let refusal = refusal(b"no record", 3, "why").unwrap();
        let again = answered(&refusal).unwrap();
        assert_eq!((&*again.id, again.model_input), ("LINE0000003", "null"));
        assert_eq!(again.refused_line, Some(3));
        // An input is no output.
        assert!(answered(line).is_none());
    }
}
