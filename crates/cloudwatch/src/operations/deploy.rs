use std::time::Duration;

use aws_sdk_cloudformation::{
    Client,
    client::Waiters,
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::{Capability, OnFailure},
};

use super::Operations;

/// Bytes of a template that CloudFormation takes in a request: *CloudFormation quotas*, as of November 2026.
const MAX_TEMPLATE: usize = 51_200;

/// For a stack to be put in place. A few dozen alarms take a minute or two.
const MAX_WAIT: Duration = Duration::from_secs(900);

/// What [`Operations::deploy`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployed {
    /// The stack's ARN; of one that was not changed, the name it was asked for by.
    pub stack: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// There was none of its name.
    Created,
    /// What is new was added, what differed changed, and what is gone taken away.
    Updated,
    /// It was so already.
    Unchanged,
}

/// Why a stack is not in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// CloudFormation takes larger templates from S3 alone.
    #[error(
        "the template takes {size} bytes: CloudFormation takes up to {MAX_TEMPLATE} in a request, and more from S3"
    )]
    TooLarge {
        /// What it takes.
        size: usize,
    },
    /// CloudFormation did not begin.
    #[error("CloudFormation refused the stack {stack:?}: {why}")]
    Refused {
        /// The stack's name.
        stack: String,
        /// What it says.
        why: String,
    },
    /// CloudFormation began, and took back what it had done.
    #[error("the stack {stack:?} failed: {why}")]
    Failed {
        /// The stack's ARN.
        stack: String,
        /// The first resource that failed, and why.
        why: String,
    },
}

impl Operations {
    /// Puts all of it in place as one CloudFormation stack, and waits until it is there: the dashboard, alarms, log
    /// queries, the policy, and topics where none were named. A stack of that name is changed to what this
    /// configuration wants, which takes away what it no longer has.
    ///
    /// Alarms and dashboards of the same names that are in no stack, such as those that `apply` has made, are in its way.
    ///
    /// Needs the rights to make and change stacks, and what is in them. It says to CloudFormation that
    /// there is a policy among them (`CAPABILITY_IAM`), which is attached to nobody: that is left to you.
    ///
    /// CloudFormation takes 51,200 bytes in a request, which is three targets. More of them have to be read from
    /// S3: put there what [`cloudformation`](Self::cloudformation) prints, and say where it is by `template_url`.
    ///
    /// ```no_run
    /// use tower_bedrock_cloudwatch::operations::Operations;
    /// use tower_bedrock_core::Target;
    ///
    /// # async fn deploy(config: aws_sdk_cloudformation::Config) -> Result<(), Box<dyn std::error::Error>> {
    /// let client = aws_sdk_cloudformation::Client::from_conf(config);
    /// let operations = Operations::builder("chat")
    ///     .target(Target::parse("us-east-1", "amazon.nova-lite-v1:0")?)
    ///     .build()?;
    /// let deployed = operations.deploy(&client, "chat-operations", None).await?;
    /// println!("{}: {:?}", deployed.stack, deployed.change);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeployError`]: the template is larger than a request may be; CloudFormation refuses it; or a resource fails, and
    /// CloudFormation goes back to what was there before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves CloudFormation to finish what it has begun.
    pub async fn deploy(
        &self,
        client: &Client,
        stack: &str,
        template_url: Option<&str>,
    ) -> Result<Deployed, DeployError> {
        let template = match template_url {
            Some(_) => None,
            None => Some(self.template()?),
        };
        let update = client
            .update_stack()
            .stack_name(stack)
            .set_template_body(template.clone())
            .set_template_url(template_url.map(str::to_owned))
            .capabilities(Capability::CapabilityIam)
            .send()
            .await;
        let (id, change) = match update {
            Ok(update) => (update.stack_id, Change::Updated),
            // Nothing but the message tells these from other mistakes: both are a `ValidationError`.
            Err(error) if says(&error, "No updates are to be performed") => {
                return Ok(Deployed {
                    stack: stack.to_owned(),
                    change: Change::Unchanged,
                });
            }
            // A template that S3 does not have is a `ValidationError` too.
            Err(error) if says(&error, "does not exist") && says(&error, "Stack ") => {
                let create = client
                    .create_stack()
                    .stack_name(stack)
                    .set_template_body(template)
                    .set_template_url(template_url.map(str::to_owned))
                    .capabilities(Capability::CapabilityIam)
                    // One that failed at first could never be updated.
                    .on_failure(OnFailure::Delete)
                    .send()
                    .await
                    .map_err(|error| refused(stack, error))?;
                (create.stack_id, Change::Created)
            }
            Err(error) => return Err(refused(stack, error)),
        };
        let stack = id.unwrap_or_else(|| stack.to_owned());
        if let Err(why) = wait(client, &stack, change).await {
            let why = first_failure(client, &stack).await.unwrap_or(why);
            return Err(DeployError::Failed { stack, why });
        }
        Ok(Deployed { stack, change })
    }

    /// As it goes into a request.
    fn template(&self) -> Result<String, DeployError> {
        let template = self.cloudformation().to_string();
        match template.len() {
            size if size > MAX_TEMPLATE => Err(DeployError::TooLarge { size }),
            _ => Ok(template),
        }
    }
}

async fn wait(client: &Client, stack: &str, change: Change) -> Result<(), String> {
    // Two waiters, which have nothing in common but their names.
    macro_rules! wait {
        ($waiter:ident) => {{
            let waited = client.$waiter().stack_name(stack).wait(MAX_WAIT).await;
            waited
                .map(drop)
                .map_err(|error| DisplayErrorContext(error).to_string())
        }};
    }
    match change {
        Change::Created => wait!(wait_until_stack_create_complete),
        Change::Updated | Change::Unchanged => wait!(wait_until_stack_update_complete),
    }
}

/// What the others failed for.
async fn first_failure(client: &Client, stack: &str) -> Option<String> {
    let events = client.describe_stack_events().stack_name(stack);
    let mut events = events.into_paginator().items().send();
    let mut first = None;
    // The newest come first: back to where this deployment began.
    while let Some(event) = events.next().await {
        // Of part of them the first is not the first.
        let event = event.ok()?;
        let reason = event.resource_status_reason().unwrap_or_default();
        if event.physical_resource_id() == Some(stack) && reason == "User Initiated" {
            break;
        }
        let status = event.resource_status();
        if status.is_some_and(|status| status.as_str().ends_with("_FAILED")) {
            let resource = event.logical_resource_id().unwrap_or_default();
            first = Some(format!("{resource}: {reason}"));
        }
    }
    first
}

fn says(error: &impl ProvideErrorMetadata, text: &str) -> bool {
    error.code() == Some("ValidationError")
        && error
            .message()
            .is_some_and(|message| message.contains(text))
}

fn refused(stack: &str, error: impl std::error::Error + Send + Sync + 'static) -> DeployError {
    DeployError::Refused {
        stack: stack.to_owned(),
        why: DisplayErrorContext(error).to_string(),
    }
}
