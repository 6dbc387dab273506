//! What a chain may be, found out when the layer is built.

use std::time::Duration;

use proptest::prelude::*;
use tower_bedrock_core::{Geography, ServiceTier, Target};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};

fn chain(model: &str) -> Chain {
    Chain::new(model.parse().unwrap())
}

fn model(model: &str) -> Alternative {
    Alternative::model(model.parse().unwrap())
}

fn region(region: &str) -> Alternative {
    Alternative::region(region.parse().unwrap())
}

fn refusal(chains: impl IntoIterator<Item = Chain>) -> String {
    FallbackLayer::new(chains).unwrap_err().to_string()
}

#[test]
fn a_chain_that_cannot_be_right_is_refused_with_the_reason() {
    let long = (0..16).fold(chain("a.b"), |chain, n| chain.or(model(&format!("a.c{n}"))));
    let cases = [
        (
            refusal([chain("a.b")]),
            "a.b: 0 alternatives, expected 1 to 15",
        ),
        (refusal([long]), "a.b: 16 alternatives, expected 1 to 15"),
        (
            refusal([chain("a.b").or(model("a.b"))]),
            "alternative 1 leads to a target that comes before it",
        ),
        (
            refusal([chain("a.b").or(model("a.c")).or(model("a.c"))]),
            "alternative 2 leads to a target",
        ),
        (
            refusal([chain("a.b").or(model("a.c")).hop_timeout(Duration::ZERO)]),
            "hop_timeout is 0s",
        ),
        (
            refusal([chain("a.b").or(model("a.c")), chain("a.b").or(model("a.d"))]),
            "a.b: there are two",
        ),
        (
            refusal([Chain::for_any_model()]),
            "any model: 0 alternatives",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_confined_chain_refuses_what_may_leave() {
    let account = "arn:aws:bedrock:eu-west-1:123456789012";
    let leaves = [
        model("us.a.b"),
        model("global.a.b"),
        model(&format!("{account}:application-inference-profile/x")),
        model(&format!("{account}:prompt-router/x")),
        model("arn:aws:bedrock:us-east-1::foundation-model/a.b"),
        region("us-east-1"),
        region("eu-west-2"),
        model("eu.a.b").in_region("us-east-1".parse().unwrap()),
    ];
    for alternative in leaves {
        let message = refusal([chain("eu.a.a")
            .within(Geography::Eu)
            .or(alternative.clone())]);
        assert!(message.contains("may leave eu"), "{alternative}: {message}");
    }
    let stays = [
        model("eu.a.b"),
        model("a.b"),
        model("arn:aws:bedrock:eu-west-1::foundation-model/a.b"),
        model(&format!("{account}:provisioned-model/x")),
        region("eu-central-1"),
        Alternative::service_tier(ServiceTier::Flex),
    ];
    for alternative in stays {
        FallbackLayer::new([chain("eu.a.a").within(Geography::Eu).or(alternative)]).unwrap();
    }
    // The same model through its global profile: only the Region was named, and the profile still leaves.
    let message = refusal([chain("global.a.a")
        .within(Geography::Eu)
        .or(region("eu-central-1"))]);
    assert!(message.contains("may leave eu"), "{message}");
    // The model the chain is for is a hop, too.
    for leaves in ["global.a.a", "us.a.a"] {
        let message = refusal([chain(leaves).within(Geography::Eu).or(model("eu.a.b"))]);
        assert!(message.contains("may leave eu"), "{leaves}: {message}");
    }
    let jp = chain("apac.a.a")
        .within(Geography::Apac)
        .or(model("jp.a.b"));
    FallbackLayer::new([jp]).unwrap();
}

proptest! {
    #[test]
    fn an_alternative_changes_what_it_names_and_nothing_else(
        new_model in prop::option::of("[a-z]{1,8}\\.[a-z]{1,8}"),
        new_region in prop::option::of("[a-z]{2}-[a-z]{4}-[1-9]"),
        flex in any::<bool>(),
    ) {
        let requested = Target::parse("us-east-1", "a.b").unwrap().with_service_tier(ServiceTier::Priority);
        let mut alternative = match (&new_model, &new_region) {
            (Some(name), _) => model(name),
            (None, Some(name)) => region(name),
            (None, None) => Alternative::service_tier(ServiceTier::Flex),
        };
        if let Some(name) = &new_region {
            alternative = alternative.in_region(name.parse().unwrap());
        }
        if flex {
            alternative = alternative.in_service_tier(ServiceTier::Flex);
        }
        let target = alternative.resolve(&requested);
        prop_assert_eq!(target.model().as_str(), new_model.as_deref().unwrap_or("a.b"));
        prop_assert_eq!(target.region().as_str(), new_region.as_deref().unwrap_or("us-east-1"));
        let tier_named = flex || (new_model.is_none() && new_region.is_none());
        let expected = if tier_named { ServiceTier::Flex } else { ServiceTier::Priority };
        prop_assert_eq!(target.service_tier(), Some(expected));
    }
}
