use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// The same, as one list that is searched each time.
#[derive(Default)]
struct Model {
    messages: Vec<Message>,
    receipts: u64,
}

struct Message {
    /// From when it may be received: set anew by every receipt, by giving back and by extending.
    from: Instant,
    /// The lease that may still settle it.
    receipt: Option<u64>,
    received: bool,
    gone: bool,
}

impl Model {
    fn send(&mut self, now: Instant) {
        self.messages.push(Message {
            from: now,
            receipt: None,
            received: false,
            gone: false,
        });
    }

    fn take(&mut self, now: Instant, visibility: Duration) -> Option<(usize, u64)> {
        let there = |message: &Message| message.received && !message.gone && message.from <= now;
        let id = {
            let again = self.messages.iter().enumerate();
            let again = again.filter(|(_, message)| there(message));
            let again = again.min_by_key(|(id, message)| (message.from, *id));
            let first = again.map(|(id, _)| id);
            first.or_else(|| self.messages.iter().position(|message| !message.received))?
        };
        // Every lease that ran out is lost once anybody takes.
        for message in &mut self.messages {
            if message.from <= now {
                message.receipt = None;
            }
        }
        self.receipts += 1;
        let message = &mut self.messages[id];
        message.received = true;
        message.from = now + visibility;
        message.receipt = Some(self.receipts);
        Some((id, self.receipts))
    }

    fn holds(&self, id: usize, receipt: u64) -> bool {
        self.messages[id].receipt == Some(receipt)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    Take(u64),
    Pass(u64),
    Extend(usize, u64),
    Complete(usize),
    GiveBack(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Send),
        3 => (0..20u64).prop_map(Step::Take),
        2 => (0..15u64).prop_map(Step::Pass),
        1 => (any::<usize>(), 0..20u64).prop_map(|(which, for_)| Step::Extend(which, for_)),
        2 => any::<usize>().prop_map(Step::Complete),
        2 => (any::<usize>(), 0..20u64).prop_map(|(which, after)| Step::GiveBack(which, after)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_line_is_the_model(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut line, mut model) = (Line::default(), Model::default());
        let mut now = Instant::now();
        // Every receipt ever given, the old ones too: a holder may come late, or twice.
        let mut given: Vec<(LocalReceipt, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Send => model.send(now),
                Step::Pass(secs) => now += Duration::from_secs(secs),
                Step::Take(secs) => {
                    let visibility = Duration::from_secs(secs);
                    let sent = model.messages.len() as u64;
                    let next = |at: Id| Ok::<_, Infallible>((at < sent).then_some(at));
                    let taken = line.take(now, visibility, next).unwrap();
                    let expected = model.take(now, visibility);
                    prop_assert_eq!(taken.map(|taken| taken.id as usize), expected.map(|(id, _)| id));
                    if let (Some(taken), Some((_, receipt))) = (taken, expected) {
                        given.push((taken, receipt));
                    }
                }
                Step::Extend(which, secs) if !given.is_empty() => {
                    let (receipt, number) = given[which % given.len()];
                    let id = receipt.id as usize;
                    let visibility = Duration::from_secs(secs);
                    let extended = line.extend(receipt, now, visibility).is_ok();
                    prop_assert_eq!(extended, model.holds(id, number));
                    if extended {
                        model.messages[id].from = now + visibility;
                    }
                }
                Step::Complete(which) if !given.is_empty() => {
                    let (receipt, number) = given[which % given.len()];
                    let id = receipt.id as usize;
                    let completed = line.end(receipt).is_ok();
                    prop_assert_eq!(completed, model.holds(id, number));
                    if completed {
                        model.messages[id].receipt = None;
                        model.messages[id].gone = true;
                    }
                }
                Step::GiveBack(which, secs) if !given.is_empty() => {
                    let (receipt, number) = given[which % given.len()];
                    let id = receipt.id as usize;
                    let after = Duration::from_secs(secs);
                    let given_back = line.give_back(receipt, now, after).is_ok();
                    prop_assert_eq!(given_back, model.holds(id, number));
                    if given_back {
                        model.messages[id].receipt = None;
                        model.messages[id].from = now + after;
                    }
                }
                _ => {}
            }
            let there = model.messages.iter().filter(|message| message.received && !message.gone);
            prop_assert_eq!(line.next_change(), there.map(|message| message.from).min());
        }
        // Nothing is lost: whatever was not completed can still be received.
        now += Duration::from_secs(3_600);
        let sent = model.messages.len() as u64;
        let next = |at: Id| Ok::<_, Infallible>((at < sent).then_some(at));
        let mut left: Vec<_> = std::iter::from_fn(|| line.take(now, Duration::MAX, next).unwrap())
            .map(|receipt| receipt.id as usize)
            .collect();
        left.sort_unstable();
        let expected: Vec<_> = (0..model.messages.len()).filter(|id| !model.messages[*id].gone).collect();
        prop_assert_eq!(left, expected);
    }
}
