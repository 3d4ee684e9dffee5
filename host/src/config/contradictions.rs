//! Settings that are fine by themselves and cannot both be meant.

use std::collections::BTreeMap;

use super::finding::Problem;
use super::reader::Reader;
use super::{Config, GroupConfig, ServerConfig};
use crate::placement::Fill;
use crate::store::LeaseTimes;

/// Refuses each pair that contradicts itself, and warns of what has no effect.
pub(super) fn check(config: &Config, reader: &Reader<'_>) {
    sockets(config, reader);
    platforms(config, reader);
    for (name, server) in &config.servers {
        check_server(config, name, server, reader);
    }
    for (name, group) in &config.groups {
        check_group(config, name, group, reader);
    }
    lease(&config.store.lease, reader);
    let retry = &config.retry;
    if retry.delays.iter().max().is_some_and(|longest| *longest > retry.age) {
        reader.refuse_both(
            "retry.delays",
            "retry.age",
            Problem::new(
                "a delay is longer than an operation may be tried at all",
                "shorten the delay or raise the age",
            ),
        );
    }
    if config.limits.concurrency < config.servers.values().map(|server| server.lane.concurrency).max().unwrap_or(0) {
        reader.warn(
            "limits.concurrency",
            Problem::new(
                "is less than the `concurrency` of one server, which is never reached",
                "raise it, or lower the server's",
            ),
        );
    }
}

/// The host must have given up before others may take its work over, and must have had the time for more than one sign before.
fn lease(times: &LeaseTimes, reader: &Reader<'_>) {
    for (shorter, longer, keys) in [
        (times.renew, times.stop, ("store.lease_renew", "store.lease_stop")),
        (times.stop, times.lease, ("store.lease_stop", "store.lease")),
    ] {
        if shorter >= longer {
            let problem = format!("`{}` must be shorter than `{}`", keys.0, keys.1);
            let remedy = "keep lease_renew < lease_stop < lease, as 10s, 20s and 30s are";
            reader.refuse_both(keys.0, keys.1, Problem::new(problem, remedy));
        }
    }
}

fn sockets(config: &Config, reader: &Reader<'_>) {
    for (group, mode, bits, group_key, mode_key) in [
        (&config.socket.group, "hook_mode", config.socket.hook_mode, "socket.group", "socket.hook_mode"),
        (&config.socket.admin_group, "admin_mode", config.socket.admin_mode, "socket.admin_group", "socket.admin_mode"),
    ] {
        if group.is_some() && bits & 0o060 != 0o060 {
            reader.refuse_both(
                group_key,
                mode_key,
                Problem::new(
                    format!("a group is named, and `{mode}` does not let it in"),
                    "write \"0660\", or leave the group out",
                ),
            );
        }
    }
    if config.socket.admin_group.is_none() && config.socket.admin_mode & 0o060 != 0 {
        reader.refuse_both(
            "socket.admin_mode",
            "socket.admin_group",
            Problem::new("a group is let in, and none is named", "name the `admin_group`, or write \"0600\""),
        );
    }
}

fn platforms(config: &Config, reader: &Reader<'_>) {
    let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, platform) in &config.platforms {
        for uid in &platform.uids {
            if let Some(other) = owners.insert(*uid, name) {
                reader.refuse_both(
                    &format!("platforms.{other}.uids"),
                    &format!("platforms.{name}.uids"),
                    Problem::new(
                        format!("user {uid} speaks for two platforms"),
                        "let each billing system run as a user of its own",
                    ),
                );
            }
        }
    }
}

fn check_group(config: &Config, name: &str, group: &GroupConfig, reader: &Reader<'_>) {
    let servers = || group.servers.iter().filter_map(|name| Some((name, config.servers.get(name)?)));
    let Some((first, of_first)) = servers().next() else { return };
    for (other, server) in servers().filter(|(_, server)| server.provider != of_first.provider) {
        reader.refuse_both(
            &format!("groups.{name}.servers"),
            &format!("servers.{other}.provider"),
            Problem::new(
                format!(
                    "{first} is driven by {}, {other} by {}: a product has settings for one of them only",
                    of_first.provider, server.provider
                ),
                format!("give {other} a group of its own"),
            ),
        );
    }
    let limited = servers().filter(|(_, server)| server.capacity.is_some()).count();
    if group.fill == Fill::LeastUsed && limited > 0 && limited < servers().count() {
        reader.warn(
            &format!("groups.{name}.fill"),
            Problem::new(
                "some of its servers have a `capacity` and some have none: they are compared by their services alone",
                "give all of them a `capacity`, or none",
            ),
        );
    }
}

fn check_server(config: &Config, name: &str, server: &ServerConfig, reader: &Reader<'_>) {
    let key = |key: &str| format!("servers.{name}.{key}");
    let is_http = server.base_url.url().scheme() == "http";
    let trust = [("ca_file", server.ca_file.is_some()), ("pin_sha256", server.pin_sha256.is_some())];
    if trust.iter().all(|(_, is_set)| *is_set) {
        reader.refuse_both(
            &key("ca_file"),
            &key("pin_sha256"),
            Problem::new(
                "two ways to trust the certificate are set",
                "leave the pin for one certificate, or the file for an authority",
            ),
        );
    }
    for (trusted, _) in trust.iter().filter(|(_, is_set)| *is_set && is_http) {
        reader.refuse_both(
            &key("base_url"),
            &key(trusted),
            Problem::new("a certificate is to be checked, and http has none", "use https, or leave it out"),
        );
    }
    if server.allow_http && !is_http {
        reader.warn(&key("allow_http"), Problem::new("has no effect on an https address", "leave it out"));
    }
    let lane = &server.lane;
    if lane.rate.is_some_and(|rate| rate.interval > config.attempt.deadline) {
        reader.refuse_both(
            &key("rate"),
            "attempt.deadline",
            Problem::new(
                "an exchange may have to wait for its turn longer than the attempt that makes it may last",
                "write the rate for a shorter time: \"1 per 1m\" for \"60 per 1h\"",
            ),
        );
    }
    let (connect, timeout, create) = (server.connect_timeout, server.timeout, server.create_timeout);
    for (shorter, longer, is_wrong) in
        [("timeout", "connect_timeout", connect > timeout), ("create_timeout", "connect_timeout", connect > create)]
    {
        if is_wrong {
            reader.refuse_both(
                &key(longer),
                &key(shorter),
                Problem::new(
                    format!("connecting may take longer than the whole exchange (`{shorter}`)"),
                    "shorten `connect_timeout`",
                ),
            );
        }
    }
    for (longest, is_wrong) in
        [("timeout", timeout > config.attempt.deadline), ("create_timeout", create > config.attempt.deadline)]
    {
        if is_wrong {
            reader.refuse_both(
                &key(longest),
                "attempt.deadline",
                Problem::new(
                    format!("one exchange (`{longest}`) may take longer than the attempt that makes it (`deadline`)"),
                    "raise the deadline or shorten the time-out",
                ),
            );
        }
    }
}
