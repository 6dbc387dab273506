//! Estimates against models whose tokenisers the estimator knows nothing of.

use tower_bedrock_core::{Content, Demand, TokenUsage};

use super::{Calibration, Estimate, OutputSizes, RightSizing, quantile::Quantile};

struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }
}

/// A tokeniser: tokens a unit of ASCII, other text, tools, documents, images, and tokens a request.
#[derive(Clone, Copy)]
struct Hidden([f64; 6]);

impl Hidden {
    fn count(&self, content: &Content, noise: f64) -> u64 {
        let [ascii, other, tools, documents, images, request] = self.0;
        let tokens = content.ascii_bytes as f64 * ascii
            + content.non_ascii_bytes as f64 * other
            + content.tool_bytes as f64 * tools
            + content.document_bytes as f64 * documents
            + content.images as f64 * images
            + request;
        (tokens * noise).round() as u64
    }
}

const HIDDEN: Hidden = Hidden([0.31, 0.52, 0.45, 0.09, 1_100.0, 12.0]);

/// Prose, CJK, tools, documents, images, and a mixture.
fn content(class: &str, random: &mut Random) -> Content {
    let mut bytes = || random.between(500.0, 20_000.0) as u64;
    let mut content = Content::default();
    match class {
        "prose" => content.ascii_bytes = bytes(),
        "cjk" => content.non_ascii_bytes = bytes(),
        "tools" => (content.tool_bytes, content.ascii_bytes) = (bytes(), bytes() / 10),
        "documents" => (content.document_bytes, content.ascii_bytes) = (bytes() * 50, bytes() / 10),
        "images" => (content.images, content.ascii_bytes) = (1 + bytes() % 4, bytes() / 10),
        _ => {
            content.ascii_bytes = bytes();
            content.non_ascii_bytes = bytes();
            content.tool_bytes = bytes();
        }
    }
    content
}

fn used(tokens: u64) -> TokenUsage {
    TokenUsage {
        input: tokens,
        ..TokenUsage::default()
    }
}

fn learn(estimator: &Calibration, class: &str, replies: usize, random: &mut Random) {
    for _ in 0..replies {
        let content = content(class, random);
        let tokens = HIDDEN.count(&content, random.between(0.97, 1.03));
        estimator.learn("m", &Demand::from(content), &used(tokens));
    }
}

/// The mean relative error, and the share of estimates that are high enough.
fn errors(estimator: &Calibration, class: &str, random: &mut Random) -> (f64, f64) {
    let (mut error, mut enough) = (0.0, 0.0);
    for _ in 0..1_000 {
        let content = content(class, random);
        let truth = HIDDEN.count(&content, random.between(0.97, 1.03)) as f64;
        let estimate = estimator.input_tokens("m", &Demand::from(content)) as f64;
        error += (estimate - truth).abs() / truth / 1_000.0;
        enough += f64::from(u8::from(estimate >= truth)) / 1_000.0;
    }
    (error, enough)
}

#[test]
fn a_hundred_replies_teach_every_class_of_content() {
    for class in ["prose", "cjk", "tools", "documents", "images", "mixed"] {
        let random = &mut Random(1);
        let estimator = Calibration::new(0.5);
        let (before, _) = errors(&estimator, class, random);
        learn(&estimator, class, 100, random);
        let (after, _) = errors(&estimator, class, random);
        println!(
            "{class:>10}: off by {:.1}% before, {:.1}% after",
            before * 100.0,
            after * 100.0
        );
        assert!(before > 0.1, "{class}: {before}");
        assert!(after < 0.03, "{class}: {after}");
    }
}

#[test]
fn what_was_learnt_of_one_class_holds_when_another_is_mixed_in() {
    let random = &mut Random(2);
    let estimator = Calibration::new(0.5);
    for class in ["prose", "cjk", "tools"] {
        learn(&estimator, class, 60, random);
    }
    let (mixed, _) = errors(&estimator, "mixed", random);
    assert!(mixed < 0.04, "{mixed}");
}

#[test]
fn the_quantile_is_kept() {
    for quantile in [0.5, 0.9, 0.95] {
        let random = &mut Random(3);
        let estimator = Calibration::new(quantile);
        learn(&estimator, "mixed", 5_000, random);
        // Over a long run: it goes up and down a little all the time.
        let mut enough = 0.0;
        for _ in 0..50 {
            learn(&estimator, "mixed", 100, random);
            enough += errors(&estimator, "mixed", random).1 / 50.0;
        }
        assert!((enough - quantile).abs() < 0.05, "{quantile}: {enough}");
    }
}

#[test]
fn outliers_do_little() {
    let random = &mut Random(4);
    let estimator = Calibration::new(0.9);
    learn(&estimator, "prose", 200, random);
    let demand = Demand::from(Content {
        ascii_bytes: 10_000,
        ..Content::default()
    });
    let before = estimator.input_tokens("m", &demand) as f64;
    for odd in [1, 1_000_000, 50_000_000] {
        estimator.learn("m", &demand, &used(odd));
    }
    let after = estimator.input_tokens("m", &demand) as f64;
    assert!((after / before - 1.0).abs() < 0.1, "{before} {after}");
    learn(&estimator, "prose", 50, random);
    let (error, _) = errors(&estimator, "prose", random);
    assert!(error < 0.06, "{error}");
}

#[test]
fn a_tokeniser_that_changes_is_followed() {
    let random = &mut Random(5);
    let estimator = Calibration::new(0.5);
    learn(&estimator, "prose", 300, random);
    let demand = Demand::from(Content {
        ascii_bytes: 10_000,
        ..Content::default()
    });
    // The new version's tokens are a third more. Every sixteenth reply is learnt from by now.
    for _ in 0..2_000 {
        estimator.learn("m", &demand, &used(4_150));
    }
    let estimate = estimator.input_tokens("m", &demand) as f64;
    assert!((estimate / 4_150.0 - 1.0).abs() < 0.05, "{estimate}");
}

#[test]
fn before_any_reply_estimates_are_cores() {
    let random = &mut Random(6);
    let estimator = Calibration::new(0.95);
    for class in ["prose", "cjk", "tools", "documents", "images", "mixed"] {
        let content = content(class, random);
        let estimate = estimator.input_tokens("m", &Demand::from(content));
        assert!(
            estimate.abs_diff(content.estimated_tokens()) <= 4,
            "{class}"
        );
    }
}

#[test]
fn a_demand_without_sizes_is_taken_at_its_word_until_proven_wrong() {
    let estimator = Calibration::new(0.95);
    let demand = Demand::new(1_000);
    for _ in 0..100 {
        estimator.learn("m", &demand, &used(1_000));
    }
    assert_eq!(estimator.input_tokens("m", &demand), 1_000);
    for _ in 0..200 {
        estimator.learn("m", &demand, &used(1_500));
    }
    let estimate = estimator.input_tokens("m", &demand);
    assert!((1_450..1_700).contains(&estimate), "{estimate}");
}

#[test]
fn nonsense_is_survived() {
    let estimator = Calibration::new(0.95);
    let huge = Content {
        ascii_bytes: u64::MAX,
        non_ascii_bytes: u64::MAX,
        tool_bytes: u64::MAX,
        document_bytes: u64::MAX,
        images: u64::MAX,
    };
    let demands = [
        Demand::default(),
        Demand::new(u64::MAX),
        Demand::from(huge),
        Demand::from(Content {
            images: 1,
            ..Content::default()
        }),
    ];
    for _ in 0..300 {
        for demand in &demands {
            for tokens in [0, 1, u64::MAX] {
                estimator.learn("m", demand, &used(tokens));
                let _ = estimator.input_tokens("m", demand);
            }
        }
    }
    // It can still learn.
    let random = &mut Random(7);
    learn(&estimator, "prose", 5_000, random);
    let (error, _) = errors(&estimator, "prose", random);
    assert!(error < 0.3, "{error}");
}

#[test]
fn quantiles_of_many_distributions() {
    let distributions: [fn(&mut Random) -> f64; 3] = [
        |random| random.share(),
        |random| -random.share().ln(),
        |random| random.between(5.0, 6.0).exp(),
    ];
    for distribution in distributions {
        for quantile in [0.5, 0.9, 0.99] {
            let random = &mut Random(8);
            let mut tracked = Quantile::new(quantile);
            for _ in 0..3_000 {
                tracked.add(distribution(random));
            }
            let mut below = 0.0;
            for _ in 0..20_000 {
                let sample = distribution(random);
                below += f64::from(u8::from(sample <= tracked.value())) / 20_000.0;
                tracked.add(sample);
            }
            assert!((below - quantile).abs() < 0.02, "{quantile}: {below}");
        }
    }
}

#[test]
fn outputs_are_bounded_above_what_was_seen() {
    let random = &mut Random(9);
    let sizes = OutputSizes::new(RightSizing::default());
    for reply in 0..2_000 {
        assert_eq!(sizes.bound().is_some(), reply >= 100);
        // Log-uniform from 50 to 2,000.
        sizes.learn(random.between(50.0_f64.ln(), 2_000.0_f64.ln()).exp() as u64);
    }
    let bound = sizes.bound().unwrap();
    // The 99th percentile is 1,930; the margin is two.
    assert!((3_000..5_000).contains(&bound), "{bound}");
}

/// The first error is no margin to keep: code is a third more tokens than the first estimate.
#[test]
fn what_was_far_off_at_first_is_not_over_estimated_for_long() {
    let estimator = Calibration::new(0.99);
    let random = &mut Random(7);
    for reply in 0..130 {
        let content = Content {
            ascii_bytes: random.between(1_000.0, 16_000.0) as u64,
            ..Content::default()
        };
        let (demand, tokens) = (Demand::from(content), content.ascii_bytes as f64 * 0.331);
        let estimate = estimator.input_tokens("", &demand) as f64;
        if reply >= 30 {
            assert!(
                (estimate / tokens - 1.0).abs() < 0.02,
                "{estimate} of {tokens}"
            );
        }
        estimator.learn("", &demand, &used(tokens as u64));
    }
}
