//! The link to a real server: cut, stalled, and whole again.

use std::sync::Arc;

use redis::{Client, cmd};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{Duration, timeout},
};

use super::{
    redis_server::{RedisServer, free_port},
    renewal,
};
use crate::fleet::{RedisStore, Store, StoreError};

/// What a proxy does with what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Whole,
    /// Connections are closed, and no new one is let through.
    Cut,
    /// Connections stay open, and nothing passes; new ones are let through.
    Stalled,
}

/// A proxy before a server.
struct Proxy {
    url: String,
    link: Arc<watch::Sender<Link>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let link = Arc::new(watch::Sender::new(Link::Whole));
        let links = Arc::clone(&link);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, port, links.subscribe()));
            }
        });
        Self { url, link, task }
    }
}

async fn pass(mut client: TcpStream, port: u16, mut link: watch::Receiver<Link>) {
    if *link.borrow_and_update() == Link::Cut {
        return;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let change = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = link.changed() => *link.borrow(),
    };
    if change == Link::Stalled {
        // For as long as the client keeps it open.
        std::future::pending::<()>().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_cut_link_is_an_error_and_is_made_anew() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let store = RedisStore::new(&proxy.url).unwrap();
    let before = store.renew("test:{k}", &renewal(1)).await.unwrap();
    assert_eq!(before.awards[1].share, 55);

    proxy.link.send_replace(Link::Cut);
    for sequence in 2..5 {
        let error = store
            .renew("test:{k}", &renewal(sequence))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
    }
    proxy.link.send_replace(Link::Whole);
    // The first may meet what is left of the old connection.
    let _ = store.renew("test:{k}", &renewal(5)).await;
    store.renew("test:{k}", &renewal(6)).await.unwrap();
}

/// A connection that is open and dead is given up with the first answer that does not come in time.
#[tokio::test]
async fn a_stalled_link_is_left_for_a_new_one() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let store = RedisStore::new(&proxy.url).unwrap();
    store.renew("test:{k}", &renewal(1)).await.unwrap();

    proxy.link.send_replace(Link::Stalled);
    let renewed = renewal(2);
    let stalled = timeout(
        Duration::from_millis(100),
        store.renew("test:{k}", &renewed),
    );
    assert!(stalled.await.is_err());
    // What was stalled stays so; a new connection is not.
    store.renew("test:{k}", &renewal(3)).await.unwrap();
}

/// One that comes late changes nothing.
#[tokio::test]
async fn a_renewal_that_was_overtaken_is_refused() {
    let server = RedisServer::start();
    let store = RedisStore::new(&server.url()).unwrap();
    store.renew("test:{k}", &renewal(2)).await.unwrap();
    let late = store.renew("test:{k}", &renewal(1)).await;
    assert_eq!(late, Err(StoreError::Overtaken));
}

#[tokio::test]
async fn a_password_is_not_shown() {
    let secret = format!("redis://me:hunter2@127.0.0.1:{}", free_port());
    let store = RedisStore::new(&secret).unwrap();
    let error = store.renew("test:{k}", &renewal(1)).await.unwrap_err();
    let fleet = crate::fleet::Fleet::builder(store.clone());
    for shown in [
        format!("{store:?}"),
        format!("{fleet:?}"),
        format!("{error:?} {error}"),
        format!(
            "{:?}",
            RedisStore::new("http://me:hunter2@nowhere").unwrap_err()
        ),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// A server keeps the connections that it has when its password changes; new ones need the new one.
#[tokio::test]
async fn a_password_may_change() {
    let server = RedisServer::start_with(&["--requirepass", "first"]);
    let passwords = Arc::new(watch::Sender::new("first"));
    let source = passwords.subscribe();
    let store = RedisStore::new(&server.url()).unwrap();
    let store = store.with_password_from(move || match *source.borrow() {
        "" => Err(std::io::Error::other("the file is gone")),
        password => Ok(password.to_owned()),
    });
    store.renew("test:{k}", &renewal(1)).await.unwrap();

    let client = Client::open(format!("redis://:first@127.0.0.1:{}", server.port())).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut change = cmd("CONFIG");
    change.arg("SET").arg("requirepass").arg("second");
    change.exec(&mut connection).unwrap();
    store.renew("test:{k}", &renewal(2)).await.unwrap();

    let others = || {
        cmd("CLIENT")
            .arg("KILL")
            .arg("SKIPME")
            .arg("yes")
            .to_owned()
    };
    others().exec(&mut connection).unwrap();
    for (sequence, password) in [(3, "first"), (4, "")] {
        passwords.send_replace(password);
        let error = store.renew("test:{k}", &renewal(sequence)).await;
        let _ = store.renew("test:{k}", &renewal(sequence)).await;
        assert!(matches!(error, Err(StoreError::Failed(_))), "{error:?}");
    }
    passwords.send_replace("second");
    store.renew("test:{k}", &renewal(5)).await.unwrap();
}

/// None is spoken to otherwise than its address says, or told another's password.
#[test]
fn servers_that_differ_in_how_they_are_spoken_to_are_refused() {
    for others in [
        "redis://:canary@two",
        "redis://me:canary@two",
        "rediss://two",
        "redis+unix:///two",
    ] {
        let both = ["redis://one", others];
        assert!(RedisStore::cluster(both).is_err(), "{others}");
        let error = RedisStore::sentinel(both, "mymaster").unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    #[cfg(feature = "redis-tls")]
    {
        let both = ["rediss://one/#insecure", "rediss://two"];
        assert!(RedisStore::cluster(both).is_err());
        assert!(RedisStore::sentinel(both, "mymaster").is_err());
    }
}
