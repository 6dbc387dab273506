use tower_bedrock_core::{ModelId, Region, Target};

use super::StackConfig;

/// The targets that a configuration names, in the Regions that calls name. A glob names none.
pub(super) fn named(config: &StackConfig) -> Vec<Target> {
    let quotas = config.quota.iter().map(|quota| {
        let model = quota.model.as_deref();
        (model, quota.region.as_deref())
    });
    let chains = config.fallback.iter().flat_map(|chain| {
        let asked = chain.model.as_deref();
        let alternatives = chain.chain.iter().map(move |alternative| {
            let model = alternative.model.as_deref().or(asked);
            (model, alternative.region.as_deref())
        });
        std::iter::once((asked, None)).chain(alternatives)
    });
    let named = quotas.chain(chains).filter_map(|(model, region)| {
        let model: ModelId = model?.parse().ok()?;
        let region = region.and_then(|region| region.parse::<Region>().ok());
        Some((model, region))
    });
    let mut targets = Vec::new();
    for (model, region) in named {
        let regions = region
            .as_ref()
            .map_or(&*config.regions, std::slice::from_ref);
        for region in regions {
            let target = Target::new(region.clone(), model.clone());
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}
