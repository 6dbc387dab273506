use aws_sdk_sqs::{
    config::{BehaviorVersion, Config},
    error::ErrorMetadata,
    operation::{
        change_message_visibility::{ChangeMessageVisibilityInput, ChangeMessageVisibilityOutput},
        delete_message::{DeleteMessageError, DeleteMessageOutput},
        receive_message::{ReceiveMessageInput, ReceiveMessageOutput},
        send_message::{SendMessageInput, SendMessageOutput},
    },
    types::{
        Message as SqsMessage, MessageAttributeValue,
        MessageSystemAttributeNameForSends as SentAttribute,
    },
};
use aws_smithy_mocks::{RuleMode, mock, mock_client};

use super::{attributes::FAILED, *};
use crate::Cause;

/// What SQS answers of a message that was received so often, by whomever.
fn received(id: &str, receipts: u32, failed: Option<&str>) -> SqsMessage {
    let message = SqsMessage::builder()
        .message_id(id)
        .receipt_handle("handle")
        .body("work")
        .attributes(Attribute::ApproximateReceiveCount, receipts.to_string());
    let Some(failed) = failed else {
        return message.build();
    };
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(failed)
        .build();
    message.message_attributes(FAILED, value.unwrap()).build()
}

fn shared() -> Shared {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .build();
    Shared::new(
        Client::from_conf(config),
        "queue".to_owned(),
        "failed".to_owned(),
    )
}

#[test]
fn receipts_are_no_attempts_until_they_are_too_many() {
    let shared = shared();
    let attempts = |id, receipts, failed| {
        let delivery = shared.delivery(received(id, receipts, failed), 20);
        delivery.map(|delivery| delivery.attempts)
    };
    // Throttled at other workers, or at this one before it was deployed anew.
    assert_eq!(attempts("a", 20, None), Some(1));
    assert_eq!(attempts("a", 21, None), Some(21));
    // What was told by whoever made them.
    assert_eq!(attempts("b", 1, Some("2")), Some(3));
    assert_eq!(attempts("b", 20, Some("2")), Some(3));
    assert_eq!(attempts("b", 21, Some("2")), Some(23));
    // What others have put there.
    assert_eq!(attempts("c", 1, Some("many")), Some(1));
    assert_eq!(attempts("c", 1, Some("4294967295")), Some(u32::MAX));
}

#[test]
fn what_could_not_be_told_is_remembered() {
    let shared = shared();
    let delivery = || shared.delivery(received("a", 1, None), 20).unwrap();
    shared.remember(&delivery().receipt, 2);
    assert_eq!(delivery().attempts, 3);
}

/// With what its producer says of it, and what the queue does.
fn delivered(shared: &Shared, names: impl IntoIterator<Item = &'static str>) -> SqsReceipt {
    let value = || {
        let value = MessageAttributeValue::builder().data_type("String");
        value.string_value("theirs").build().unwrap()
    };
    let mut message = received("a", 1, Some("2"));
    let attributes = message.message_attributes.get_or_insert_default();
    attributes.extend(names.into_iter().map(|name| (name.to_owned(), value())));
    shared.delivery(message, 20).unwrap().receipt
}

#[test]
fn a_copy_has_all_that_its_message_had() {
    let receipt = delivered(&shared(), ["Attempts", "Exception", "Source"]);
    let own = [(KEY, "key"), (FAILED, "3")];
    let copy = receipt.attributes.with_own(own).unwrap();
    let text = |name| copy.text(name);
    for name in ["Attempts", "Exception", "Source"] {
        assert_eq!(text(name), Some("theirs"));
    }
    assert_eq!((text(KEY), text(FAILED)), (Some("key"), Some("3")));
}

#[test]
fn what_has_no_room_for_a_number_is_not_sent_anew() {
    const NAMES: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let has_room = |names: &[&'static str]| {
        let receipt = delivered(&shared(), names.iter().copied());
        receipt.attributes.can_be_sent_anew()
    };
    assert!(has_room(&NAMES[..8]));
    assert!(!has_room(&NAMES));
}

#[tokio::test]
async fn a_message_whose_copy_was_sent_is_not_worked_at_again() {
    let sent = mock!(Client::send_message)
        .then_output(|| SendMessageOutput::builder().message_id("b").build());
    let refused = mock!(Client::delete_message).then_error(|| {
        DeleteMessageError::generic(ErrorMetadata::builder().code("AccessDenied").build())
    });
    let again = mock!(Client::receive_message).then_output(|| {
        let message = received("a", 2, None);
        ReceiveMessageOutput::builder().messages(message).build()
    });
    let client = mock_client!(aws_sdk_sqs, RuleMode::MatchAny, [&sent, &refused, &again]);
    let queue = SqsQueue::new(client, "queue", "failed");
    let delivery = queue.shared.delivery(received("a", 1, None), 20).unwrap();
    let given_back = queue
        .give_back(delivery.receipt, Duration::ZERO, true)
        .await;
    assert!(given_back.is_err());

    for _ in 0..3 {
        let received = queue.receive(10, Duration::from_secs(60)).await.unwrap();
        assert!(received.is_empty());
    }
    assert_eq!((sent.num_calls(), refused.num_calls()), (1, 4));
}

#[tokio::test]
async fn a_copy_belongs_to_the_producers_trace() {
    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    let asks = |input: &ReceiveMessageInput| {
        let asked = input.message_system_attribute_names();
        asked.contains(&Attribute::AwsTraceHeader)
    };
    let received = mock!(Client::receive_message)
        .match_requests(asks)
        .then_output(|| {
            let mut message = received("a", 1, None);
            let system = message.attributes.get_or_insert_default();
            system.insert(Attribute::AwsTraceHeader, HEADER.to_owned());
            ReceiveMessageOutput::builder().messages(message).build()
        });
    let carries = |input: &SendMessageInput| {
        let sent = input.message_system_attributes();
        let header = sent.and_then(|sent| sent.get(&SentAttribute::AwsTraceHeader));
        header.and_then(|header| header.string_value()) == Some(HEADER)
    };
    let sent = mock!(Client::send_message)
        .match_requests(carries)
        .then_output(|| SendMessageOutput::builder().message_id("b").build());
    let deleted =
        mock!(Client::delete_message).then_output(|| DeleteMessageOutput::builder().build());
    let rules = [&received, &sent, &deleted];
    let client = mock_client!(aws_sdk_sqs, RuleMode::MatchAny, rules);
    let queue = SqsQueue::new(client, "queue", "failed");

    let receive = async || {
        let received = queue.receive(1, Duration::from_secs(60)).await;
        received.unwrap().remove(0)
    };
    let receipt = receive().await.receipt;
    queue
        .give_back(receipt, Duration::ZERO, true)
        .await
        .unwrap();
    let Delivery {
        receipt, message, ..
    } = receive().await;
    let why = DeadLetter {
        cause: Cause::Abandoned,
        attempts: 1,
        detail: None,
    };
    queue.dead_letter(receipt, message, why).await.unwrap();
    assert_eq!(sent.num_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_back_for_no_longer_than_sqs_can_hold_it() {
    let left = |input: &ChangeMessageVisibilityInput| input.visibility_timeout() == Some(3_599);
    let changed = mock!(Client::change_message_visibility)
        .match_requests(left)
        .then_output(|| ChangeMessageVisibilityOutput::builder().build());
    let client = mock_client!(aws_sdk_sqs, RuleMode::MatchAny, [&changed]);
    let queue = SqsQueue::new(client, "queue", "failed");
    let delivery = queue.shared.delivery(received("a", 1, None), 20).unwrap();
    tokio::time::advance(Duration::from_secs(11 * 3_600)).await;
    let receipt = delivery.receipt;
    queue
        .give_back(receipt, Duration::MAX, false)
        .await
        .unwrap();
    assert_eq!(changed.num_calls(), 1);
}

#[test]
fn seconds_are_rounded_up_and_no_more_than_sqs_takes() {
    assert_eq!(secs(Duration::ZERO), 0);
    assert_eq!(secs(Duration::from_millis(1)), 1);
    assert_eq!(secs(Duration::from_secs(60)), 60);
    assert_eq!(secs(Duration::MAX), 43_200);
}
