//! What it costs to join those who wait, to leave them, and to take over from a call that ends, the more there are.

use std::{
    collections::VecDeque,
    hint::black_box,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use bench_support::Bench;
use tower_bedrock_core::{Context, Demand, Priority, Target};
use tower_bedrock_quota::{Exhausted, LimitTable, Limiter, Limits, QuotaPattern, Reservation};

const WAITING: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

pub(crate) fn benches(bench: &mut Bench) {
    for waiting in WAITING {
        bench.case(&format!("join and leave a queue/{waiting} waiting"), || {
            let mut queue = Queue::new(waiting, 100);
            move || queue.join_and_leave()
        });
    }
    for waiting in WAITING {
        bench.case(&format!("take over from a call/{waiting} waiting"), || {
            let mut queue = Queue::new(waiting, 1);
            move || queue.take_over()
        });
    }
}

type Call = Pin<Box<dyn Future<Output = Result<Reservation, Exhausted>>>>;

/// As many calls as one quota lets through, and those who wait for it.
struct Queue {
    limiter: Limiter,
    target: Target,
    tenants: Vec<Arc<Context>>,
    running: VecDeque<Reservation>,
    waiting: VecDeque<Call>,
    joined: usize,
}

const LIMIT: u64 = 1_000;

impl Queue {
    fn new(waiting: usize, tenants: usize) -> Self {
        let limits = Limits::new().with_requests_per_minute(LIMIT);
        let limiter = Limiter::builder()
            .limits(LimitTable::new().with(QuotaPattern::any(), limits))
            .max_wait(Duration::from_secs(24 * 3_600))
            .max_waiting(1_000_000)
            .build()
            .unwrap();
        let tenants = (0..tenants).map(|tenant| {
            let context = Context::new().with_tenant(format!("tenant-{tenant}"));
            Arc::new(context.with_priority(Priority::ALL[tenant % 3]))
        });
        let mut queue = Self {
            limiter,
            target: super::target(1),
            tenants: tenants.collect(),
            running: VecDeque::new(),
            waiting: VecDeque::new(),
            joined: 0,
        };
        while queue.waiting.len() < waiting {
            queue.join();
        }
        queue
    }

    fn next(&mut self) -> impl Future<Output = Result<Reservation, Exhausted>> + 'static {
        self.joined += 1;
        let context = Arc::clone(&self.tenants[self.joined % self.tenants.len()]);
        let (limiter, target) = (self.limiter.clone(), self.target.clone());
        let demand = Demand::new(1).with_max_output_tokens(0);
        async move { limiter.reserve(&target, &demand, &context).await }
    }

    fn join(&mut self) {
        let mut call: Call = Box::pin(self.next());
        match poll(call.as_mut()) {
            Poll::Ready(reservation) => self.running.push_back(reservation.unwrap()),
            Poll::Pending => self.waiting.push_back(call),
        }
    }

    /// A call that joins those who wait, and gives up again.
    fn join_and_leave(&mut self) {
        let call = pin!(self.next());
        let _ = black_box(poll(call));
    }

    /// A call ends, the first of those who wait goes, and another one joins them.
    fn take_over(&mut self) {
        if let Some(ended) = self.running.pop_front() {
            ended.refund();
        }
        if let Some(mut first) = self.waiting.pop_front()
            && let Poll::Ready(reservation) = poll(first.as_mut())
        {
            self.running.push_back(reservation.unwrap());
        }
        self.join();
    }
}

fn poll<F: Future + ?Sized>(call: Pin<&mut F>) -> Poll<F::Output> {
    call.poll(&mut TaskContext::from_waker(Waker::noop()))
}
