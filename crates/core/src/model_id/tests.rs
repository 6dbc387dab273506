use proptest::prelude::*;

use super::*;

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

#[test]
fn every_form_has_its_base_and_route() {
    use Route::{Dedicated, Global, OnDemand, Undetermined};
    let geographic = Route::Geographic;
    let account = "arn:aws:bedrock:us-east-1:123456789012:";
    let cases = [
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1", OnDemand),
        (
            "amazon.titan-text-lite-v1:0:4k",
            "amazon.titan-text-lite-v1:0:4k",
            OnDemand,
        ),
        ("zai.glm-4.6", "zai.glm-4.6", OnDemand),
        (
            "us.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Us),
        ),
        (
            "eu.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Eu),
        ),
        (
            "apac.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Apac),
        ),
        (
            "jp.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Jp),
        ),
        (
            "au.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Au),
        ),
        (
            "ca.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::Ca),
        ),
        (
            "us-gov.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            geographic(Geography::UsGov),
        ),
        (
            "global.amazon.nova-2-lite-v1:0",
            "amazon.nova-2-lite-v1:0",
            Global,
        ),
        ("us.", "us.", OnDemand),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "anthropic.claude-v2:1",
            OnDemand,
        ),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/a.b",
            "a.b",
            OnDemand,
        ),
        (
            &format!("{account}inference-profile/us.a.b-v1:0"),
            "a.b-v1:0",
            geographic(Geography::Us),
        ),
        (
            &format!("{account}inference-profile/global.a.b"),
            "a.b",
            Global,
        ),
        (
            &format!("{account}inference-profile/mars.a.b"),
            "mars.a.b",
            Undetermined,
        ),
        (
            &format!("{account}application-inference-profile/x1"),
            "application-inference-profile/x1",
            Undetermined,
        ),
        (
            &format!("{account}provisioned-model/abc"),
            "provisioned-model/abc",
            Dedicated,
        ),
        (
            &format!("{account}custom-model/a.b/abc"),
            "custom-model/a.b/abc",
            Dedicated,
        ),
        (
            &format!("{account}custom-model-deployment/abc"),
            "custom-model-deployment/abc",
            Dedicated,
        ),
        (
            &format!("{account}imported-model/abc"),
            "imported-model/abc",
            Dedicated,
        ),
        (
            &format!("{account}prompt/ABCDEFGHIJ:1"),
            "prompt/ABCDEFGHIJ:1",
            Undetermined,
        ),
        (
            &format!("{account}default-prompt-router/a.b:1"),
            "default-prompt-router/a.b:1",
            Undetermined,
        ),
        (
            "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
            "endpoint/e",
            Dedicated,
        ),
    ];
    for (text, base, route) in cases {
        let id = id(text);
        assert_eq!((id.base(), id.route()), (base, route), "{text}");
    }
}

#[test]
fn what_cannot_be_one_is_refused_with_what_is_accepted() {
    let long = "x".repeat(ModelId::MAX_LEN + 1);
    let cases = [
        ("", "1 to 2048 bytes"),
        (&long, "1 to 2048 bytes"),
        ("a/b", "only the characters"),
        ("modèle", "only the characters"),
        ("arn:aws:bedrock:us-east-1", "an ARN as"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:foundation-model",
            "an ARN as",
        ),
        ("arn:aws:bedrock:us-east-1:123456789012:/x", "an ARN as"),
        ("arn:gcp:bedrock:us-east-1::foundation-model/x", "partition"),
        ("arn:aws:s3:us-east-1::foundation-model/x", "service"),
        (
            "arn:aws:bedrock:US:123456789012:foundation-model/x",
            "a Region",
        ),
        (
            "arn:aws:bedrock:us-east-1:1234:foundation-model/x",
            "twelve digits",
        ),
    ];
    for (text, expected) in cases {
        let error = text.parse::<ModelId>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_input_panics(text in ".*") {
        let _ = text.parse::<ModelId>();
    }

    #[test]
    fn no_arn_panics(tail in "[a-z0-9:/._-]{0,60}") {
        let _ = format!("arn:{tail}").parse::<ModelId>();
    }

    #[test]
    fn parse_and_display_agree(text in "(arn:aws:bedrock:[a-z0-9-]{1,20}:([0-9]{12})?:[a-z-]{1,30}/)?[a-zA-Z0-9._:-]{1,60}") {
        // Some of these are refused ("arn:" alone); those that are taken read back as they were.
        if let Ok(id) = text.parse::<ModelId>() {
            prop_assert_eq!(id.to_string(), text.clone());
            prop_assert_eq!(id.to_string().parse::<ModelId>().unwrap(), id.clone());
            prop_assert!(text.ends_with(id.base()));
        }
    }

    #[test]
    fn a_prefix_never_changes_the_base(
        geography in prop::sample::select(Geography::ALL.to_vec()),
        base in "[a-z0-9]{3,10}-x\\.[a-z0-9.-]{1,30}",
    ) {
        let id = id(&format!("{geography}.{base}"));
        prop_assert_eq!(id.base(), base);
        prop_assert_eq!(id.route(), Route::Geographic(geography));
    }
}
