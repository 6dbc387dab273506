use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use tower_bedrock_core::Region;

/// Where Bedrock's runtime is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS's endpoint of the target's Region.
    Aws,
    /// One server for all Regions.
    At(Scheme, Authority),
}

impl Endpoint {
    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Aws => true,
            Self::At(scheme, _) => *scheme == Scheme::HTTPS,
        }
    }

    pub(super) fn uri(&self, region: &Region, path: PathAndQuery) -> Result<Uri, http::Error> {
        let builder = match self {
            Self::Aws => Uri::builder().scheme(Scheme::HTTPS).authority(host(region)),
            Self::At(scheme, authority) => Uri::builder()
                .scheme(scheme.clone())
                .authority(authority.clone()),
        };
        builder.path_and_query(path).build()
    }
}

fn host(region: &Region) -> String {
    let suffix = if region.as_str().starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("bedrock-runtime.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_stays_as_it_is() {
        let path = "/model/us.a.b%3A0/converse?x=%2F";
        let at = Endpoint::At(Scheme::HTTP, Authority::from_static("127.0.0.1:9090"));
        for (endpoint, region, base) in [
            (
                Endpoint::Aws,
                "eu-west-1",
                "https://bedrock-runtime.eu-west-1.amazonaws.com",
            ),
            (
                Endpoint::Aws,
                "cn-north-1",
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            ),
            (at, "eu-west-1", "http://127.0.0.1:9090"),
        ] {
            let uri = endpoint
                .uri(&region.parse().unwrap(), PathAndQuery::from_static(path))
                .unwrap();
            assert_eq!(uri.to_string(), format!("{base}{path}"));
        }
    }
}
