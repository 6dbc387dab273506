//! One SDK client for each Region.

use std::fmt;

use aws_sdk_bedrockruntime::{Client, Config, config};
use quick_cache::sync::Cache;
use tower_bedrock_core::Region;

/// Made when a Region is first called, and kept. All of them share the configuration they were made from:
/// HTTP connections, credentials, interceptors.
///
/// Bounded, because whoever names Regions may be a client of a gateway: the ones that are not called
/// make room for those that are.
pub(crate) struct Clients {
    template: Client,
    by_region: Cache<Region, Client>,
}

impl Clients {
    pub(crate) fn new(config: Config, max_regions: usize) -> Self {
        Self {
            // Now and not at the first call: root certificates are read from disk, and a configuration that
            // the SDK would refuse is refused at start.
            template: Client::from_conf(config),
            by_region: Cache::new(max_regions),
        }
    }

    pub(crate) fn get(&self, region: &Region) -> Client {
        if let Some(client) = self.by_region.get(region) {
            return client;
        }
        // Two tasks may both get here. Both clients are as good, and the second one stays.
        let client = self.make(region);
        self.by_region.insert(region.clone(), client.clone());
        client
    }

    fn make(&self, region: &Region) -> Client {
        let region = config::Region::new(region.as_str().to_owned());
        Client::from_conf(self.template.config().to_builder().region(region).build())
    }
}

/// The SDK's own `Debug` of a configuration goes on for pages.
impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("regions", &self.by_region.len())
            .finish_non_exhaustive()
    }
}
