//! A cluster, and a server that Sentinels watch: whole, and as another server takes the place of one.

use redis::{Client, FromRedisValue, RedisError, RedisResult, cmd};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{redis_server::RedisServer, renewal};
use crate::fleet::{RedisStore, Store};

/// More than a machine with other things to do takes for any of it.
/// A Sentinel whose timer was late does nothing for half a minute.
const LONG: Duration = Duration::from_secs(180);

/// A server's answer.
fn ask<T: FromRedisValue>(server: &RedisServer, words: &[&str]) -> RedisResult<T> {
    let client = Client::open(server.url())?;
    let mut connection = client.get_connection_with_timeout(LONG)?;
    connection.set_read_timeout(Some(LONG))?;
    let mut question = cmd(words[0]);
    question.arg(&words[1..]);
    question.query(&mut connection)
}

/// Waits until it holds; what it says until then is what it fails with in the end.
async fn until(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(why) = holds() {
        assert!(started.elapsed() < LONG, "{what}: {why}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a server's answer has all of these in it.
async fn says(server: &RedisServer, words: &[&str], parts: &[&str]) {
    until(&words.join(" "), || {
        let text: String = ask(server, words).map_err(|error| error.to_string())?;
        match parts.iter().all(|part| text.contains(part)) {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}

/// Waits until a server does as it is told.
async fn does(server: &RedisServer, words: &[&str]) {
    until(&words.join(" "), || {
        ask::<()>(server, words).map_err(|error: RedisError| error.to_string())
    })
    .await;
}

/// Renews until that is answered, as a worker does.
async fn renewed(store: &RedisStore, key: &str, sequence: &mut u64) {
    let started = Instant::now();
    loop {
        *sequence += 1;
        let renewal = renewal(*sequence);
        let answer = timeout(Duration::from_secs(2), store.renew(key, &renewal)).await;
        if matches!(answer, Ok(Ok(_))) {
            return;
        }
        assert!(started.elapsed() < LONG, "{key}: {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Three nodes that have all slots between them.
async fn cluster() -> [RedisServer; 3] {
    // Where a node is down the others answer for what is theirs.
    let partly = ["--cluster-require-full-coverage", "no"];
    let nodes = [(); 3].map(|()| RedisServer::node_with(&partly));
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (i, (node, (first, last))) in nodes.iter().zip(slots).enumerate() {
        ask::<()>(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]).unwrap();
        ask::<()>(node, &["CLUSTER", "ADDSLOTSRANGE", first, last]).unwrap();
        meet(&nodes[0], node).await;
    }
    for node in &nodes {
        let whole = [
            "cluster_state:ok",
            "cluster_known_nodes:3",
            "cluster_size:3",
        ];
        says(node, &["CLUSTER", "INFO"], &whole).await;
    }
    nodes
}

async fn meet(one: &RedisServer, other: &RedisServer) {
    if one.port() != other.port() {
        let config: Vec<String> = ask(other, &["CONFIG", "GET", "cluster-port"]).unwrap();
        let port = other.port().to_string();
        does(one, &["CLUSTER", "MEET", "127.0.0.1", &port, &config[1]]).await;
    }
}

fn id(node: &RedisServer) -> String {
    ask(node, &["CLUSTER", "MYID"]).unwrap()
}

#[tokio::test]
async fn a_clusters_nodes_keep_their_keys() {
    let nodes = cluster().await;
    // The others are found by the one that is named.
    let store = RedisStore::cluster([nodes[1].url()]).unwrap();
    for number in 0..20 {
        let key = format!("test:{{key {number}}}");
        renewed(&store, &key, &mut 0).await;
    }
    for node in &nodes {
        let keys: u64 = ask(node, &["DBSIZE"]).unwrap();
        assert!(keys > 0, "twenty keys have one on each of three nodes");
    }
}

/// Whose slot a key is in: the first node's, or another's.
fn is_of_first(node: &RedisServer, key: &str) -> bool {
    let slot: u64 = ask(node, &["CLUSTER", "KEYSLOT", key]).unwrap();
    slot <= 5_460
}

#[tokio::test]
async fn a_node_that_is_down_is_down_for_its_own_keys_alone() {
    let [first, second, third] = cluster().await;
    // Whoever makes a connection anew asks the one that will be down.
    let store = RedisStore::cluster([first.url()]).unwrap();
    let keys = || (0..).map(|number| format!("test:{{key {number}}}"));
    let lost = keys().find(|key| is_of_first(&second, key)).unwrap();
    let kept: Vec<String> = keys()
        .filter(|key| !is_of_first(&second, key))
        .take(6)
        .collect();
    for key in kept.iter().chain([&lost]) {
        renewed(&store, key, &mut 0).await;
    }

    let before = connections(&third);
    drop(first);
    for sequence in 2..12 {
        let renewal = renewal(sequence);
        let time = Duration::from_millis(100);
        let down = timeout(time, store.renew(&lost, &renewal)).await;
        assert!(!matches!(down, Ok(Ok(_))), "{down:?}");
        for key in &kept {
            let answer = timeout(LONG, store.renew(key, &renewal)).await;
            answer.expect("an answer").expect("a share");
        }
    }
    // One for the question itself, and one in five seconds that is made in the place of one that fails.
    let made = connections(&third) - before;
    assert!(made <= 3, "{made} connections for seventy renewals");
    drop((second, third));
}

/// How many connections have been made to a node.
fn connections(node: &RedisServer) -> u64 {
    let stats: String = ask(node, &["INFO", "stats"]).unwrap();
    let mut lines = stats.lines();
    let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_replica_takes_a_nodes_place() {
    let nodes = cluster().await;
    let [first, second, _] = &nodes;
    let replica = RedisServer::node();
    meet(first, &replica).await;
    does(&replica, &["CLUSTER", "REPLICATE", &id(first)]).await;
    let synced = ["role:slave", "master_link_status:up"];
    says(&replica, &["INFO", "replication"], &synced).await;

    let store = RedisStore::cluster([first.url(), second.url()]).unwrap();
    let mut keys = (0..).map(|number| format!("test:{{key {number}}}"));
    let key = keys.find(|key| is_of_first(first, key)).unwrap();
    let mut sequence = 0;
    renewed(&store, &key, &mut sequence).await;

    // Until those who vote know whose replica it is, it asks in vain, and gives up after five seconds.
    let mut asked: Option<Instant> = None;
    until("CLUSTER FAILOVER", || {
        let text: String =
            ask(&replica, &["INFO", "replication"]).map_err(|error| error.to_string())?;
        if text.contains("role:master") {
            return Ok(());
        }
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(6)) {
            let _ = ask::<()>(&replica, &["CLUSTER", "FAILOVER"]);
            asked = Some(Instant::now());
        }
        Err(text)
    })
    .await;
    renewed(&store, &key, &mut sequence).await;
    // Nor is the node missed.
    let [first, ..] = nodes;
    drop(first);
    renewed(&store, &key, &mut sequence).await;
    assert_eq!(ask::<u64>(&replica, &["EXISTS", &key]).unwrap(), 1);
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_server_that_is_watched() {
    let master = RedisServer::start();
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let synced = ["role:slave", "master_link_status:up"];
    says(&replica, &["INFO", "replication"], &synced).await;
    let sentinel = RedisServer::sentinel(master.port());
    let store = RedisStore::sentinel([sentinel.url()], "mymaster").unwrap();
    let mut sequence = 0;
    renewed(&store, "test:{k}", &mut sequence).await;
    assert_eq!(ask::<u64>(&master, &["EXISTS", "test:{k}"]).unwrap(), 1);

    // It finds the replica by asking the master, now and then.
    does(&sentinel, &["SENTINEL", "FAILOVER", "mymaster"]).await;
    says(&replica, &["INFO", "replication"], &["role:master"]).await;
    says(&master, &["INFO", "replication"], &["role:slave"]).await;
    ask::<()>(&replica, &["FLUSHALL"]).unwrap();
    renewed(&store, "test:{k}", &mut sequence).await;
    assert_eq!(ask::<u64>(&replica, &["EXISTS", "test:{k}"]).unwrap(), 1);

    let other = RedisStore::sentinel([sentinel.url()], "another").unwrap();
    let answer = other.renew("test:{k}", &renewal(1)).await;
    assert!(answer.is_err(), "no server has that name: {answer:?}");
}
