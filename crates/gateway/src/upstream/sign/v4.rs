//! SigV4 for the requests that calls are. `aws-sigv4` derives its key anew for each request and assembles what is signed
//! from many small texts; here keys are kept for their day and one text is written. For what is out of the ordinary,
//! queries above all, the library is asked.

use std::{
    fmt::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::{DateTime, date_time::Format};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{AUTHORIZATION, HOST, TRANSFER_ENCODING, USER_AGENT},
    uri::Scheme,
};
use parking_lot::RwLock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tower_bedrock_core::{BoxError, Region};
use zeroize::Zeroizing;

use super::{SERVICE, UNSIGNED};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that are not signed, as in `aws-sigv4`, besides those that [`UNSIGNED`] has.
const NEVER_SIGNED: [HeaderName; 4] = [
    AUTHORIZATION,
    TRANSFER_ENCODING,
    USER_AGENT,
    HeaderName::from_static("x-amzn-trace-id"),
];

/// What a path is encoded with once more before it is signed.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_')
    .remove(b'~');

/// More Regions than there are.
const MOST_KEYS: usize = 64;

/// The keys of today, one a Region.
#[derive(Default)]
pub(super) struct Keys(RwLock<Vec<Key>>);

struct Key {
    region: Region,
    day: String,
    credentials: Credentials,
    key: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// Signs a request that is not [unusual](is_unusual).
    pub(super) fn sign(
        &self,
        request: &mut Request<Bytes>,
        region: &Region,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), BoxError> {
        let time = time_of(now)?;
        let host = host(request.uri())?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(DATE, HeaderValue::from_str(&time)?);
        if let Some(token) = credentials.session_token() {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            headers.insert(TOKEN, token);
        }
        let signed = signed_names(request.headers());
        let canonical = canonical(request, &signed)?;

        let day = &time[..8];
        let mut text = String::with_capacity(256);
        write!(
            text,
            "AWS4-HMAC-SHA256\n{time}\n{day}/{region}/{SERVICE}/aws4_request\n"
        )?;
        push_hash(&mut text, canonical.as_bytes())?;
        let key = self.of(region, day, credentials, now);
        let signature = calculate_signature(&*key, text.as_bytes());

        text.clear();
        let id = credentials.access_key_id();
        write!(
            text,
            "AWS4-HMAC-SHA256 Credential={id}/{day}/{region}/{SERVICE}/aws4_request, SignedHeaders="
        )?;
        push_names(&mut text, &signed);
        write!(text, ", Signature={signature}")?;
        let mut authorization = HeaderValue::from_str(&text)?;
        authorization.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        Ok(())
    }

    fn of(
        &self,
        region: &Region,
        day: &str,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Zeroizing<Vec<u8>> {
        let secret = credentials.secret_access_key();
        let is_valid = |key: &Key| {
            key.region == *region && key.day == day && key.credentials.secret_access_key() == secret
        };
        if let Some(known) = self.0.read().iter().find(|key| is_valid(key)) {
            return known.key.clone();
        }
        let key = generate_signing_key(secret, now, region.as_str(), SERVICE);
        let key = Zeroizing::new(key.as_ref().to_vec());
        let mut keys = self.0.write();
        keys.retain(|key| key.region != *region);
        if keys.len() < MOST_KEYS {
            keys.push(Key {
                region: region.clone(),
                day: day.to_owned(),
                credentials: credentials.clone(),
                key: key.clone(),
            });
        }
        key
    }
}

/// Whether a request's address has parts that are normalized or sorted before they are signed.
pub(super) fn is_unusual(uri: &Uri) -> bool {
    let mut parts = uri.path().split('/').skip(1);
    uri.query().is_some() || parts.any(|part| matches!(part, "" | "." | ".."))
}

/// `20260101T000000Z`
fn time_of(now: SystemTime) -> Result<String, BoxError> {
    let seconds = now.duration_since(UNIX_EPOCH)?.as_secs();
    let time = DateTime::from_secs(i64::try_from(seconds)?).fmt(Format::DateTime)?;
    Ok(time.replace(['-', ':'], ""))
}

/// What the client will send as `Host`.
fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let authority = uri.authority().ok_or("the address has no host")?;
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        _ => 80,
    };
    let host = match authority.port_u16() {
        Some(port) if port == default => authority.host(),
        _ => authority.as_str(),
    };
    Ok(HeaderValue::from_str(host)?)
}

fn signed_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names: Vec<_> = headers
        .keys()
        .filter(|name| !NEVER_SIGNED.contains(name) && !UNSIGNED.contains(&name.as_str()))
        .cloned()
        .collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names
}

fn canonical(request: &Request<Bytes>, signed: &[HeaderName]) -> Result<String, BoxError> {
    let mut text = String::with_capacity(1_024);
    let path = utf8_percent_encode(request.uri().path(), ENCODED);
    write!(text, "{}\n{path}\n\n", request.method())?;
    for name in signed {
        text.push_str(name.as_str());
        text.push(':');
        for (at, value) in request.headers().get_all(name).iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            push_words(&mut text, value.to_str()?);
        }
        text.push('\n');
    }
    text.push('\n');
    push_names(&mut text, signed);
    text.push('\n');
    push_hash(&mut text, request.body())?;
    Ok(text)
}

fn push_names(text: &mut String, names: &[HeaderName]) {
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push(';');
        }
        text.push_str(name.as_str());
    }
}

/// Spaces at the ends count for nothing, and several in between for one.
fn push_words(text: &mut String, value: &str) {
    let words = value.split(' ').filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

fn push_hash(text: &mut String, bytes: &[u8]) -> Result<(), BoxError> {
    let mut hash = [0; 64];
    hex::encode_to_slice(Sha256::digest(bytes), &mut hash)?;
    text.push_str(std::str::from_utf8(&hash)?);
    Ok(())
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::{super::sign_v4, *};

    const SOME_DAY: Duration = Duration::from_secs(1_767_225_600);

    fn credentials(session: Option<&str>) -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            session.map(str::to_owned),
            None,
            "test",
        )
    }

    fn request(random: &mut StdRng) -> Request<Bytes> {
        const HOSTS: [&str; 4] = [
            "http://127.0.0.1:9090",
            "http://bedrock:80",
            "https://bedrock:443",
            "https://bedrock:80",
        ];
        const PATHS: [&str; 4] = [
            "/model/us.a.b%3A0/converse",
            "/model/a.b:0/invoke",
            "/async-invoke",
            "/a(b)*c,d!'@$&+;=~_-./[x]|%C3%A9",
        ];
        const HEADERS: [(&str, &str); 9] = [
            ("accept", "*/*"),
            ("authorization", "Bearer old"),
            ("content-type", "application/json"),
            ("traceparent", "00-1-2-01"),
            ("user-agent", "test"),
            ("x-amzn-bedrock-trace", " a  b   c "),
            ("x-amzn-bedrock-trace", "d"),
            ("x-amzn-empty", ""),
            ("x-amzn-trace-id", "Root=1-2-3"),
        ];
        let (host, path) = (HOSTS.choose(random).unwrap(), PATHS.choose(random).unwrap());
        let mut request = Request::builder()
            .method(["GET", "POST"][random.random_range(0..2)])
            .uri(format!("{host}{path}"));
        for (name, value) in HEADERS {
            if random.random() {
                request = request.header(name, value);
            }
        }
        let body = vec![b'x'; random.random_range(0..200)];
        request.body(body.into()).unwrap()
    }

    /// `aws-sigv4` is the judge: of the signature, and of all else that goes out but the host, which it leaves to the
    /// client.
    #[test]
    fn signs_as_the_library_does() {
        let mut random = StdRng::seed_from_u64(7);
        let keys = Keys::default();
        for round in 0..500 {
            let mut ours = request(&mut random);
            assert!(!is_unusual(ours.uri()));
            let mut theirs = Request::new(ours.body().clone());
            *theirs.method_mut() = ours.method().clone();
            *theirs.uri_mut() = ours.uri().clone();
            *theirs.headers_mut() = ours.headers().clone();
            let region = ["us-east-1", "eu-west-1"][random.random_range(0..2)];
            let region = region.parse().unwrap();
            let credentials = credentials(random.random::<bool>().then_some("session token"));
            let now = UNIX_EPOCH + SOME_DAY + Duration::from_millis(round * 20_000_123);

            keys.sign(&mut ours, &region, &credentials, now).unwrap();
            sign_v4(&mut theirs, &region, credentials, now).unwrap();
            ours.headers_mut().remove(HOST);
            assert_eq!(ours.headers(), theirs.headers(), "{}", ours.uri());
        }
    }

    #[test]
    fn what_is_normalized_or_sorted_is_left_to_the_library() {
        for (path, expected) in [
            ("/model/a/converse", false),
            ("/model/a.b/converse", false),
            ("/async-invoke?maxResults=1", true),
            ("/model//converse", true),
            ("/model/../converse", true),
            ("/model/./converse", true),
            ("/model/", true),
        ] {
            let uri = format!("http://bedrock{path}").parse().unwrap();
            assert_eq!(is_unusual(&uri), expected, "{path}");
        }
    }

    #[test]
    fn a_key_is_for_its_day_region_and_secret() {
        let keys = Keys::default();
        let day = UNIX_EPOCH + SOME_DAY;
        let key = |region: &str, day: &str, secret: &str| {
            let credentials = Credentials::new("id", secret, None, None, "test");
            let at = UNIX_EPOCH + SOME_DAY;
            keys.of(&region.parse().unwrap(), day, &credentials, at)
        };
        let first = key("us-east-1", "20260101", "a");
        assert_eq!(first, key("us-east-1", "20260101", "a"));
        assert_ne!(first, key("eu-west-1", "20260101", "a"));
        assert_ne!(first, key("us-east-1", "20260101", "b"));
        assert_eq!(keys.0.read().len(), 2);

        let credentials = credentials(None);
        let region = "us-east-1".parse().unwrap();
        let next = day + Duration::from_secs(86_400);
        let before = keys.of(&region, "20260101", &credentials, day);
        assert_ne!(before, keys.of(&region, "20260102", &credentials, next));
        assert_eq!(keys.0.read().len(), 2);
    }

    #[test]
    fn keys_are_never_shown() {
        let keys = Keys::default();
        keys.of(
            &"us-east-1".parse().unwrap(),
            "20260101",
            &credentials(None),
            UNIX_EPOCH,
        );
        assert_eq!(format!("{keys:?}"), "Keys { .. }");
    }
}
