//! A stack is made, changed or left as it is, and where CloudFormation fails it is said why.

#![allow(clippy::unwrap_used)]

use aws_sdk_cloudformation::{
    Client,
    error::ErrorMetadata,
    operation::{
        create_stack::CreateStackOutput,
        describe_stack_events::DescribeStackEventsOutput,
        describe_stacks::DescribeStacksOutput,
        update_stack::{UpdateStackError, UpdateStackOutput},
    },
    primitives::DateTime,
    types::{Capability, OnFailure, ResourceStatus, Stack, StackEvent, StackStatus},
};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use tower_bedrock_cloudwatch::operations::{Change, DeployError, Operations};
use tower_bedrock_core::Target;

const NAME: &str = "chat-operations";
const ID: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/chat-operations/1";

fn operations(targets: usize) -> Operations {
    let mut builder = Operations::builder("chat");
    for n in 0..targets {
        let model = format!("us.anthropic.claude-sonnet-4-2025051{n}-v1:0");
        builder = builder.target(Target::parse("us-east-1", &model).unwrap());
    }
    builder.build().unwrap()
}

fn client(rules: &[&Rule]) -> Client {
    mock_client!(aws_sdk_cloudformation, RuleMode::Sequential, rules)
}

/// What is sent is what is printed, and says that there is a policy in it.
fn update(answer: Result<(), &'static str>) -> Rule {
    let printed = operations(2).cloudformation().to_string();
    let rule = mock!(Client::update_stack).match_requests(move |update| {
        update.stack_name() == Some(NAME)
            && update.template_body() == Some(&printed)
            && update.capabilities() == [Capability::CapabilityIam]
    });
    match answer {
        Ok(()) => rule.then_output(|| UpdateStackOutput::builder().stack_id(ID).build()),
        Err(message) => rule.then_error(move || {
            let error = ErrorMetadata::builder()
                .code("ValidationError")
                .message(message);
            UpdateStackError::generic(error.build())
        }),
    }
}

fn create() -> Rule {
    let printed = operations(2).cloudformation().to_string();
    mock!(Client::create_stack)
        .match_requests(move |create| {
            create.stack_name() == Some(NAME)
                && create.template_body() == Some(&printed)
                && create.capabilities() == [Capability::CapabilityIam]
                && create.on_failure() == Some(&OnFailure::Delete)
        })
        .then_output(|| CreateStackOutput::builder().stack_id(ID).build())
}

fn status(status: StackStatus) -> Rule {
    mock!(Client::describe_stacks)
        .match_requests(|describe| describe.stack_name() == Some(ID))
        .then_output(move || {
            let stack = Stack::builder()
                .stack_name(NAME)
                .stack_status(status.clone())
                .creation_time(DateTime::from_secs(0))
                .build();
            DescribeStacksOutput::builder().stacks(stack).build()
        })
}

const MISSING: &str = "Stack [chat-operations] does not exist";

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_not_there_is_made() {
    let rules = [
        update(Err(MISSING)),
        create(),
        status(StackStatus::CreateInProgress),
        status(StackStatus::CreateComplete),
    ];
    let client = client(&rules.each_ref());
    let deployed = operations(2).deploy(&client, NAME, None).await.unwrap();
    assert_eq!((&*deployed.stack, deployed.change), (ID, Change::Created));
    assert!(rules.iter().all(|rule| rule.num_calls() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_there_is_changed_or_left_as_it_is() {
    let rules = [update(Ok(())), status(StackStatus::UpdateComplete)];
    let deployed = operations(2)
        .deploy(&client(&rules.each_ref()), NAME, None)
        .await;
    assert_eq!(deployed.unwrap().change, Change::Updated);

    let same = update(Err("No updates are to be performed."));
    let deployed = operations(2).deploy(&client(&[&same]), NAME, None).await;
    assert_eq!(deployed.unwrap().change, Change::Unchanged);
}

fn event(resource: &str, id: &str, status: ResourceStatus, reason: &str) -> StackEvent {
    StackEvent::builder()
        .stack_id(ID)
        .stack_name(NAME)
        .event_id(format!("{resource}-{status}"))
        .timestamp(DateTime::from_secs(0))
        .logical_resource_id(resource)
        .physical_resource_id(id)
        .resource_status(status)
        .resource_status_reason(reason)
        .build()
}

/// One failure cancels what else is under way; and what failed in an earlier deployment is of no interest.
#[tokio::test(start_paused = true)]
async fn the_first_resource_that_failed_is_named() {
    use ResourceStatus::{CreateFailed, UpdateInProgress, UpdateRollbackInProgress};
    let events = mock!(Client::describe_stack_events).then_output(|| {
        let events = [
            event("Dashboard", "", CreateFailed, "Resource creation cancelled"),
            event(NAME, ID, UpdateRollbackInProgress, "Something failed"),
            event("LogQuery0", "", CreateFailed, "no such log group"),
            event(NAME, ID, UpdateInProgress, "User Initiated"),
            event("ApplicationPolicy", "", CreateFailed, "of last week"),
        ];
        DescribeStackEventsOutput::builder()
            .set_stack_events(Some(events.to_vec()))
            .build()
    });
    let rules = [
        update(Ok(())),
        status(StackStatus::UpdateRollbackComplete),
        events,
    ];
    let failed = operations(2)
        .deploy(&client(&rules.each_ref()), NAME, None)
        .await;
    let error = failed.unwrap_err();
    assert!(matches!(error, DeployError::Failed { .. }));
    assert!(
        error
            .to_string()
            .ends_with("failed: LogQuery0: no such log group"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cloudformation_does_not_take_is_said() {
    let locked = update(Err(
        "Stack is in UPDATE_IN_PROGRESS state and can not be updated.",
    ));
    let refused = operations(2).deploy(&client(&[&locked]), NAME, None).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.starts_with("CloudFormation refused the stack \"chat-operations\""));
    assert!(error.contains("can not be updated"), "{error}");

    // Nothing is sent.
    let refused = operations(9).deploy(&client(&[]), NAME, None).await;
    assert!(matches!(refused, Err(DeployError::TooLarge { size }) if size > 51_200));
    assert!(operations(3).cloudformation().to_string().len() <= 51_200);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_a_request_comes_from_s3() {
    const URL: &str = "https://s3.amazonaws.com/templates/chat.json";
    let from_s3 = mock!(Client::update_stack)
        .match_requests(|update| {
            update.template_url() == Some(URL) && update.template_body().is_none()
        })
        .then_output(|| UpdateStackOutput::builder().stack_id(ID).build());
    let rules = [from_s3, status(StackStatus::UpdateComplete)];
    let client = client(&rules.each_ref());
    let deployed = operations(9).deploy(&client, NAME, Some(URL)).await;
    assert_eq!(deployed.unwrap().change, Change::Updated);
}
