//! One call, from its arrival to its settlement.

use rand::rngs::StdRng;
use tokio::time::Duration;
use tower_bedrock_core::{FaultKind, Region, ServiceTier, TokenUsage};

use super::{
    Engine,
    validate::{max_tokens, resolve},
};
use crate::{
    At, Call, Denied, Disruption, Operation, Plan, ServiceError, StopReason, fault::Effect,
    ledger::LedgerEntry, model::Model, quota::Reservation,
};

/// How much slower a slow answer is.
const SLOWER: u32 = 10;

/// A call that was admitted and is not settled yet.
#[derive(Debug)]
pub(crate) struct InFlight {
    seq: u64,
    started: Duration,
    region: Region,
    burndown: u64,
    /// The quota's number, and what is held of it. Free operations hold nothing.
    reserved: Option<(usize, Reservation)>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Answered whole.
    Complete,
    /// By the disruption it was planned to have.
    Disrupted,
    /// Its caller went away.
    Dropped,
}

impl InFlight {
    pub(crate) const fn started(&self) -> Duration {
        self.started
    }
}

impl Engine {
    pub(crate) fn begin(&mut self, now: Duration, call: &Call) -> Result<(Plan, InFlight), Denied> {
        let now = self.advance(now);
        let operation = call.operation.as_str().into();
        let mut entry = LedgerEntry::new(now, operation, call.region.as_str(), call.model.as_str());
        let admitted = self.admit(now, call, &mut entry);
        if let Err(denied) = &admitted {
            entry.deny(now, denied);
        }
        let seq = self.book.write(entry);
        admitted.map(|(plan, mut in_flight)| {
            in_flight.seq = seq;
            (plan, in_flight)
        })
    }

    /// Validation, then a scripted fault, then the quotas.
    fn admit(
        &mut self,
        now: Duration,
        call: &Call,
        entry: &mut LedgerEntry,
    ) -> Result<(Plan, InFlight), Denied> {
        let model = resolve(&self.models, &self.regions, &call.region, &call.model)?;
        let burndown = model.burndown;
        let free = call.operation == Operation::CountTokens;
        let max_tokens = if free { 0 } else { max_tokens(call, model)? };
        let mut plan = plan(call, model, max_tokens, &mut self.random);
        entry.input_tokens = plan.usage.total_input();
        entry.max_tokens = max_tokens;

        let strike = self.script.strike(now, call.operation, call.model.as_str());
        if let Some(strike) = strike {
            entry.fault = Some(strike.id);
            match strike.effect {
                Effect::Deny(denied) => return Err(denied),
                Effect::Disrupt(at, disruption) => plan.disruption = Some((at, disruption)),
                Effect::Slow => {
                    plan.time_to_first_token = plan.time_to_first_token.saturating_mul(SLOWER);
                    plan.tokens_per_second /= f64::from(SLOWER);
                }
            }
        }

        let reserved = if free || call.service_tier == Some(ServiceTier::Reserved) {
            None
        } else {
            let tokens = plan.usage.total_input().saturating_add(max_tokens);
            Some(self.reserve(now, call, tokens, entry)?)
        };
        let in_flight = InFlight {
            seq: 0,
            started: now,
            region: call.region.clone(),
            burndown,
            reserved,
        };
        Ok((plan, in_flight))
    }

    fn reserve(
        &mut self,
        now: Duration,
        call: &Call,
        tokens: u64,
        entry: &mut LedgerEntry,
    ) -> Result<(usize, Reservation), Denied> {
        let quota = self.quota(now, &call.region, &call.model);
        let found =
            quota.and_then(|number| Some((number, self.quota_and_region(number, &call.region)?)));
        // A model that was resolved has a quota, and its Region a day.
        let (number, (quota, region_day)) = found.ok_or_else(ServiceError::unknown_model)?;
        let reservation = quota.reserve(region_day, now, tokens);
        entry.quotas = quota.levels(region_day, now);
        let reservation = reservation?;
        entry.reserved = tokens;
        Ok((number, reservation))
    }

    /// Settles a call: `input + cacheWrite + output x burndown`, whatever was reserved. Cache reads do not
    /// count. What was refused inside its stream, before any content, costs nothing.
    pub(crate) fn finish(
        &mut self,
        now: Duration,
        plan: &Plan,
        in_flight: InFlight,
        ending: Ending,
    ) {
        let now = self.advance(now);
        let output = match ending {
            Ending::Complete => plan.usage.output,
            Ending::Disrupted => plan.generated_in_all(),
            Ending::Dropped => plan.generated_within(now.saturating_sub(in_flight.started)),
        };
        let mut cost = 0;
        let mut levels = None;
        if let Some((number, reservation)) = &in_flight.reserved {
            if !plan.is_refused_in_band() {
                cost = output
                    .saturating_mul(in_flight.burndown)
                    .saturating_add(plan.usage.input)
                    .saturating_add(plan.usage.cache_write);
            }
            if let Some((quota, region_day)) = self.quota_and_region(*number, &in_flight.region) {
                quota.settle(region_day, now, reservation, cost);
                levels = Some(quota.levels(region_day, now));
            }
        }
        if let Some(entry) = self.book.entry(in_flight.seq) {
            entry.end(now, outcome(plan, ending));
            entry.output_tokens = output;
            entry.settled = cost;
            entry.quotas = levels.unwrap_or(entry.quotas);
            if let Some((At::Answer, _)) = plan.disruption {
                entry.status = None;
            }
        }
    }
}

/// An answer of at most `max_tokens`; of none, at once, where that is zero.
fn plan(call: &Call, model: &Model, max_tokens: u64, random: &mut StdRng) -> Plan {
    let mut plan = Plan {
        usage: TokenUsage {
            input: call.input.tokens(model.tokenizer_ratio),
            output: 0,
            cache_read: call.cache_read_tokens,
            cache_write: call.cache_write_tokens,
        },
        stop_reason: StopReason::EndTurn,
        time_to_first_token: Duration::ZERO,
        tokens_per_second: 1.0,
        tokens_per_delta: model.tokens_per_delta,
        disruption: None,
    };
    if max_tokens > 0 {
        let wanted = call
            .output_tokens
            .unwrap_or_else(|| model.draw_output_tokens(random));
        plan.usage.output = wanted.clamp(1, max_tokens);
        if wanted > max_tokens {
            plan.stop_reason = StopReason::MaxTokens;
        }
        (plan.time_to_first_token, plan.tokens_per_second) = model.draw_latency(random);
    }
    plan
}

fn outcome(plan: &Plan, ending: Ending) -> &'static str {
    match (ending, &plan.disruption) {
        (Ending::Complete, _) => "ok",
        (Ending::Dropped, _) => "dropped",
        (Ending::Disrupted, Some((_, Disruption::Exception(error)))) => {
            error.fault().kind().as_str()
        }
        (Ending::Disrupted, _) => FaultKind::Transport.as_str(),
    }
}
