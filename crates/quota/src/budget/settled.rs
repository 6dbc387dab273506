/// What calls have cost of what they reserved, over the last hundred or so. Forecasts need it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    calls: u32,
    reserved: u64,
    cost: u64,
}

impl Settled {
    #[inline]
    pub(super) fn add(&mut self, reserved: u64, cost: u64) {
        self.calls += 1;
        self.reserved = self.reserved.saturating_add(reserved);
        self.cost = self.cost.saturating_add(cost);
        if self.calls == 128 {
            *self = Self {
                calls: 64,
                reserved: self.reserved / 2,
                cost: self.cost / 2,
            };
        }
    }

    pub(super) fn share(&self) -> f64 {
        if self.reserved == 0 {
            1.0
        } else {
            self.cost as f64 / self.reserved as f64
        }
    }
}
