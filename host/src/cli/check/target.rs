//! Plugins, and what they say to the settings of servers and products.
//!
//! Servers are made ready by the engine itself, on an empty store in a folder that is gone afterwards: what is found here
//! is what a start would find.

use super::Finding;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::engine::{Engine, EngineOptions, plugin_file, plugin_policy};
use crate::panel::WrongSetting;
use crate::plugin::{self, Loaded, Prober};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, remove_dir_all};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Looks at every plugin that a server names, every server, and every product.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    if config.servers.is_empty() {
        return Vec::new();
    }
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(error) => {
            let text = format!("not looked at: no folder can be made in {}: {error}", std::env::temp_dir().display());
            return vec![Finding::warn("plugins", text, "name a folder in TMPDIR")];
        }
    };
    let names: BTreeSet<&String> = config.servers.values().map(|server| &server.provider).collect();
    let prober = Prober::new(None, SystemClock::shared());
    let mut findings = Vec::new();
    let mut loaded = BTreeMap::new();
    for name in names {
        let policy = plugin_policy(config, name, &bench.staging());
        match plugin::load(&plugin_file(config, name), &policy, &prober).await {
            Ok(plugin) => {
                findings.push(Finding::ok(
                    plugin_place(name),
                    format!("version {}, SHA-256 {}", plugin.version, plugin.sha256),
                ));
                loaded.insert(name.clone(), plugin);
            }
            Err(error) => {
                let remedy = error.refusal.remedy();
                findings.push(Finding::error(plugin_place(name), format!("{:#}", anyhow::Error::new(error)), remedy));
            }
        }
    }
    findings.extend(with_engine(config, &bench, &loaded).await);
    findings
}

fn plugin_place(name: &str) -> String {
    format!("plugin {name}")
}

/// Starts an engine for a moment. It has no work: its store is empty.
async fn with_engine(config: &Config, bench: &Bench, loaded: &BTreeMap<String, Loaded>) -> Vec<Finding> {
    let mut trial = config.clone();
    trial.store.database = Database::Sqlite { path: bench.folder.join("trial.db") };
    trial.seal.key_file = bench.folder.join("trial.key");
    let options = EngineOptions { staging: Some(bench.staging()), ..EngineOptions::by(SystemClock::shared()) };
    let engine = match Engine::start(Arc::new(trial), options).await {
        Ok(engine) => engine,
        Err(error) => {
            let text = format!("not looked at: {:#}", anyhow::Error::new(error));
            return vec![Finding::warn("servers", text, "name a folder with room in TMPDIR")];
        }
    };
    let mut findings = Vec::new();
    let in_force = engine.in_force();
    for (name, server) in &config.servers {
        let place = format!("servers.{name}");
        match (in_force.panels.get(name), in_force.unready.get(name)) {
            (Some(panel), _) => findings.push(Finding::ok(place, format!("{}, {}", server.provider, panel.identity))),
            // Told with the plugin.
            (None, _) if !loaded.contains_key(&server.provider) => {}
            (None, reason) => {
                let reason = reason.map_or("no reason is known", String::as_str);
                findings.push(Finding::error(place, reason, format!("correct [servers.{name}]")));
            }
        }
    }
    for (name, product) in &config.products {
        // All servers of a product are of one provider.
        let mut panels = config.servers_of(&product.place).iter().filter_map(|server| in_force.panels.get(server));
        let Some(panel) = panels.next() else { continue };
        findings.extend(product_findings(name, panel.provider.wrong_settings(product.settings.value())));
    }
    engine.stop(Duration::from_secs(1)).await;
    findings
}

/// What a provider's schema says to a product's settings. A setting that is missing may come with each order.
fn product_findings(name: &str, wrong: Vec<WrongSetting>) -> Vec<Finding> {
    if wrong.is_empty() {
        return vec![Finding::ok(format!("products.{name}"), "its settings fit the provider")];
    }
    let finding = |one: WrongSetting| {
        let place = format!("products.{name}.settings{}", one.place);
        if one.is_missing {
            let remedy = format!("add it to [products.{name}.settings], or send it as an option of each order");
            Finding::warn(place, one.problem, remedy)
        } else {
            Finding::error(place, one.problem, format!("correct it in [products.{name}.settings]"))
        }
    };
    wrong.into_iter().map(finding).collect()
}

/// A folder of this process alone, gone with it.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("billhook-check-{:016x}", u64::from_be_bytes(random));
        let folder = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    fn staging(&self) -> PathBuf {
        self.folder.join("plugins")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A library that is open stays so without its file.
fn remove(folder: &Path) {
    if let Err(error) = remove_dir_all(folder) {
        eprintln!("warning: {} stays behind: {error}", folder.display());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_missing_setting_may_come_with_the_order_and_a_wrong_one_may_not() {
        let wrong = |is_missing| WrongSetting { place: ".os".into(), problem: "is wrong".into(), is_missing };
        let found = |wrong| {
            let found = product_findings("p", wrong);
            found.into_iter().map(|one| (one.level, one.place)).collect::<Vec<_>>()
        };

        assert_eq!(found(vec![]), [(Level::Ok, "products.p".to_owned())]);
        assert_eq!(found(vec![wrong(true)]), [(Level::Warn, "products.p.settings.os".to_owned())]);
        assert_eq!(found(vec![wrong(false)]), [(Level::Error, "products.p.settings.os".to_owned())]);
    }

    #[test]
    fn the_bench_is_gone_with_its_owner() {
        let bench = Bench::new().unwrap();
        let folder = bench.folder.clone();
        std::fs::write(folder.join("file"), "x").unwrap();

        drop(bench);

        assert!(!folder.exists());
    }
}
