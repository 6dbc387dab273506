use tower_bedrock_core::{Geography, Region, Route};

/// The Regions that the simulator has: every one that Bedrock's runtime was in by November 2026. Quotas are
/// kept for each, so a client must not be able to invent more.
const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

pub(crate) fn all() -> impl Iterator<Item = Region> {
    REGIONS.into_iter().filter_map(|name| name.parse().ok())
}

/// Whether a model can be called in a Region by a route: a geographic profile only from its geography,
/// and from Canada also that of the United States; a global one from every commercial Region.
pub(crate) fn has_route(region: &Region, route: Route) -> bool {
    match route {
        Route::Geographic(geography) => {
            let from_canada = geography == Geography::Us && region.as_str().starts_with("ca-");
            from_canada || Geography::of(region).is_some_and(|home| geography.contains(home))
        }
        Route::Global => !region.as_str().starts_with("us-gov-"),
        _ => true,
    }
}
