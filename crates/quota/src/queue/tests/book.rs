//! Against a list that is sorted anew each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{newcomer, tenant};
use crate::queue::Queue;

const TENANTS: usize = 4;

/// A call in the list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    id: usize,
    class: usize,
    tenant: usize,
    arrival: usize,
    tokens: u64,
}

/// Virtual token counters by the book: of every tenant that ever came, in every class.
#[derive(Default)]
struct Book {
    calls: Vec<Listed>,
    counters: BTreeMap<(usize, usize), u128>,
    last_left: BTreeMap<usize, u128>,
    arrivals: usize,
}

impl Book {
    fn arrive(&mut self, id: usize, class: usize, tenant: usize, tokens: u64) {
        let waits = |tenant| {
            self.calls
                .iter()
                .any(|c| (c.class, c.tenant) == (class, tenant))
        };
        if !waits(tenant) {
            let lowest = (0..TENANTS)
                .filter(|t| waits(*t))
                .map(|t| self.counters[&(class, t)])
                .min();
            let lift = lowest.unwrap_or(self.last_left.get(&class).copied().unwrap_or(0));
            let counter = self.counters.entry((class, tenant)).or_default();
            *counter = (*counter).max(lift);
        }
        self.calls.push(Listed {
            id,
            class,
            tenant,
            arrival: self.arrivals,
            tokens,
        });
        self.arrivals += 1;
    }

    fn head(&self) -> Option<Listed> {
        // Among tenants with equal counters, who has the earliest first call.
        let firsts = self.calls.iter().filter(|call| {
            !self.calls.iter().any(|other| {
                (other.class, other.tenant) == (call.class, call.tenant)
                    && other.arrival < call.arrival
            })
        });
        firsts
            .min_by_key(|call| {
                (
                    call.class,
                    self.counters[&(call.class, call.tenant)],
                    call.arrival,
                )
            })
            .copied()
    }

    /// When a tenant's last call is gone, those who don't wait and are not ahead of a newcomer are forgotten.
    fn leave(&mut self, call: Listed) {
        self.calls.retain(|other| other.id != call.id);
        let waits = |class, tenant| {
            self.calls
                .iter()
                .any(|c| (c.class, c.tenant) == (class, tenant))
        };
        if !waits(call.class, call.tenant) {
            let class = call.class;
            let lowest = (0..TENANTS).filter(|t| waits(class, *t));
            let lift = lowest.map(|t| self.counters[&(class, t)]).min();
            let lift = lift.unwrap_or(self.last_left.get(&class).copied().unwrap_or(0));
            let forget = |of: usize, tenant: usize, counter: u128| {
                of == class && !waits(of, tenant) && counter <= lift
            };
            let forgotten: Vec<_> = self
                .counters
                .iter()
                .filter(|((c, t), n)| forget(*c, *t, **n))
                .map(|(key, _)| *key)
                .collect();
            for key in forgotten {
                self.counters.remove(&key);
            }
        }
    }

    fn serve(&mut self, call: Listed) {
        let counter = self.counters.get_mut(&(call.class, call.tenant)).unwrap();
        *counter += u128::from(call.tokens) << 16;
        let waiting = self
            .calls
            .iter()
            .filter(|c| (c.class, c.tenant) == (call.class, call.tenant));
        if waiting.count() == 1 {
            self.last_left.insert(call.class, *counter);
        }
        self.leave(call);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Arrive {
        class: usize,
        tenant: usize,
        tokens: u64,
    },
    Serve,
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..TENANTS, 1..1_000_u64)
            .prop_map(|(class, tenant, tokens)| Op::Arrive { class, tenant, tokens }),
        3 => Just(Op::Serve),
        1 => any::<usize>().prop_map(Op::Leave),
    ]
}

proptest! {
    #[test]
    fn the_order_is_the_books(ops in prop::collection::vec(op(), 1..200)) {
        let mut queue = Queue::<()>::default();
        let mut book = Book::default();
        for op in ops {
            match op {
                Op::Arrive { class, tenant: which, tokens } => {
                    let tenant = tenant(which);
                    let id = queue.push(newcomer(class, tenant.as_ref(), 1, tokens));
                    book.arrive(id, class, which, tokens);
                }
                Op::Serve => {
                    if let Some(head) = queue.head() {
                        book.serve(book.head().unwrap());
                        queue.serve(head.id, ());
                        prop_assert_eq!(queue.take(head.id), Some(()));
                    }
                }
                Op::Leave(which) if !book.calls.is_empty() => {
                    let which = which % book.calls.len();
                    let call = book.calls[which];
                    book.leave(call);
                    prop_assert_eq!(queue.cancel(call.id), None);
                }
                Op::Leave(_) => {}
            }
            prop_assert_eq!(queue.head().map(|head| head.id), book.head().map(|head| head.id));
            prop_assert_eq!(queue.len(), book.calls.len());
            prop_assert_eq!(queue.is_empty(), book.calls.is_empty());
        }
    }
}
