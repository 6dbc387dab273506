//! The store's script against its model in Rust, on a real server.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::redis_server::RedisServer;
use crate::fleet::{
    DayClaim, RedisStore,
    day::DayLedger,
    ledger::Ledger,
    renewal::{Claim, LIMITS, MOST, Renewal},
};

struct Draw(StdRng);

impl Draw {
    /// Mostly small numbers, sometimes nothing, sometimes as much as there can be.
    fn amount(&mut self, usual: u64) -> u64 {
        match self.0.random_range(0..20) {
            0 => 0,
            1 => MOST,
            2 => 1,
            _ => self.0.random_range(0..=usual),
        }
    }

    fn claim(&mut self) -> Claim {
        let mut claim = Claim {
            limit: 1_000,
            holds: self.amount(300),
            used: self.amount(400),
            debt: self.amount(100).saturating_sub(60),
            demand: self.amount(800),
            need: self.amount(1_200).saturating_sub(600),
            version: self.0.random_range(0..4),
            throttled: self.0.random_range(0..2_000_u64).saturating_sub(1_000),
        };
        match self.0.random_range(0..10) {
            0 => claim.limit = 0,
            1 => claim.limit = self.amount(3_000),
            _ => {}
        }
        claim
    }

    fn renewal(&mut self, sequence: u64, members: u128) -> Renewal {
        let claims: [Claim; LIMITS] = [self.claim(), self.claim()];
        let leaves = self.0.random_bool(0.05);
        Renewal {
            member: self.0.random_range(0..members) << 90 | 0xabc,
            sequence: sequence - self.0.random_range(0..50_u64) / 48 * 10,
            lease: if leaves {
                0
            } else {
                self.0.random_range(1..40_000)
            },
            window: 60_000,
            reserve: self.0.random_range(0..3) * 40_000,
            known: self.0.random_range(0..4),
            silence: self.0.random_range(0..80_000),
            waited: self.0.random_range(0..9_000),
            class: self.0.random_range(0..3),
            claims,
            day: None,
        }
    }

    fn day(&mut self, sequence: u64, members: u128) -> Renewal {
        let mut flag = |often| u64::from(self.0.random_bool(often));
        let (throttled, over) = (flag(0.03), flag(0.1));
        let claim = DayClaim {
            limit: 1_200_000 + self.0.random_range(0..9),
            spent: self.0.random_range(0..9_000),
            counted: self.0.random_range(0..9_000),
            flight: self.amount(100),
            holds: self.amount(300),
            wants: self.amount(800),
            need: self.amount(1_200).saturating_sub(600),
            asks: self.amount(900),
            used: self.0.random_range(0..2_000),
            expects: self.0.random_range(0..90_u64).saturating_sub(84),
            version: self.0.random_range(0..4),
            throttled: throttled * self.0.random_range(0..4),
            held_for: self.0.random_range(0..400_000),
            over,
        };
        Renewal {
            claims: Default::default(),
            day: Some(claim),
            ..self.renewal(sequence, members)
        }
    }
}

#[tokio::test]
async fn the_script_does_what_its_model_does() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    for seed in 0..12 {
        let mut draw = Draw(StdRng::seed_from_u64(seed));
        let members = [2, 3, 7, 40][seed as usize % 4];
        let mut ledger = Ledger::default();
        let mut now = 1_700_000_000_000;
        let key = format!("test:{{{seed}}}");
        for sequence in 100..400 {
            now += match draw.0.random_range(0..30) {
                0 => 150_000,
                1 => 700_000,
                2..10 => 0,
                _ => draw.0.random_range(0..4_000),
            };
            let renewal = draw.renewal(sequence, members).clamped();
            let answer = store.call(&key, &renewal, Some(now)).await;
            assert_eq!(
                answer,
                ledger.renew(now, &renewal),
                "seed {seed}, {renewal:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_days_script_does_what_its_model_does() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let mut slices = 0;
    for seed in 0..12 {
        let mut draw = Draw(StdRng::seed_from_u64(seed));
        let members = [2, 3, 7, 40][seed as usize % 4];
        let mut ledger = DayLedger::default();
        let mut now = 1_700_000_000_000;
        let key = format!("test:{{{seed}}}");
        for sequence in 100..400 {
            now += match draw.0.random_range(0..60) {
                0 => 100_000_000,
                1 => 30_000_000,
                2..20 => 0,
                _ => draw.0.random_range(0..400_000),
            };
            let renewal = draw.day(sequence, members).clamped();
            let answer = store.call(&key, &renewal, Some(now)).await;
            let claim = renewal.day.unwrap();
            let model = ledger.renew(now, &renewal, &claim);
            assert_eq!(answer, model, "seed {seed}, {renewal:?}");
            slices += u64::from(answer.is_ok_and(|answer| answer.day.holds > claim.flight));
        }
    }
    assert!(slices > 500, "{slices}");
}

/// Members that come and are never seen again are forgotten, and so is a key that nobody uses.
#[tokio::test]
async fn what_nobody_uses_is_forgotten() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    let mut draw = Draw(StdRng::seed_from_u64(1));
    for i in 0..1_000_u64 {
        let mut renewal = draw.renewal(100, 2);
        renewal.member = u128::from(i);
        renewal.lease = 1_000;
        store
            .call("test:{k}", &renewal, Some(i * 5_000))
            .await
            .unwrap();
    }
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let fields: u64 = redis::cmd("HLEN")
        .arg("test:{k}")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(fields < 40, "{fields}");
    let lives: i64 = redis::cmd("PTTL")
        .arg("test:{k}")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!((1..=150_000).contains(&lives), "{lives}");
}
