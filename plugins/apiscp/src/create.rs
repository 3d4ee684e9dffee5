//! `create`: a site with its first user.
//!
//! The site's invoice is a key that only we make, so that a lost answer is settled by looking for it.

use crate::panel::Doing;
use crate::settings::Product;
use crate::site::Site;
use crate::{ApisCp, api, call, fault, names, package, panel, password};
use billhook_plugin_api::{Account, Create, Cx, Fault, FaultClass, Secret, Settle};
use billhook_soap::Param;
use std::sync::atomic::{AtomicBool, Ordering};

/// A site to be made, or made by an earlier run.
struct Order<'a> {
    panel: &'a ApisCp,
    product: &'a Product,
    domain: String,
    user: String,
    email: &'a str,
    invoice: String,
}

/// Makes the site and gives the login.
pub async fn run(provider: &ApisCp, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
    let Create { service, client, product, password } = request;
    product.check()?;
    let email = client.email.trim();
    if email.is_empty() {
        return Err(Fault::invalid_input("the customer has no e-mail address, which a site needs"));
    }
    let domain = names::domain(service.domain.as_deref().unwrap_or_default())?;
    let user = names::username(&service, &domain)?;
    let invoice = names::invoice(&provider.invoice_prefix, &service);
    let order = Order { panel: provider, product: &product, domain, user, email, invoice };
    let password = password::chosen_or_made(cx, password).await?;

    cx.progress(20, "making the site");
    let is_made_now = AtomicBool::new(false);
    let id = order.place(cx, &password, &is_made_now).await?;

    if !is_made_now.load(Ordering::Relaxed) {
        // Whoever made it and however far that came: the password that is told must be the one that holds.
        cx.progress(70, "the site is there; setting its password");
        let (order, password, id) = (&order, &password, &id);
        panel::effect(cx, "credentials", &|send| {
            Box::pin(async move {
                let site = order.ours(cx).await?.ok_or_else(|| Fault::not_found(format!("{id} is gone again")))?;
                let (operation, request) = password::request(order.panel, &site, password)?;
                call::accepted(&send.call(request).await?, operation)?;
                Ok(true)
            })
        })
        .await?;
    }

    cx.progress(90, "reading the site back");
    let Some(site) = order.ours(cx).await? else {
        return Err(Fault::not_found(format!("{id} was made, and is gone from the panel")));
    };
    Ok(order.account(id, site, password))
}

impl Order<'_> {
    /// The step that makes the site. Its result is the site's id.
    fn place<'f>(&'f self, cx: &'f Cx, password: &'f Secret<String>, is_made_now: &'f AtomicBool) -> Doing<'f, String> {
        // Domain and login name are unique on the panel: it refuses a late second sending by itself.
        let settle = Settle { refuses_twice: true, ..Settle::default() };
        Box::pin(cx.step("site").settle(settle).remote_id().ensure(move |send| async move {
            if let Some(site) = self.ours(cx).await? {
                return Ok(site.key);
            }
            self.free(cx).await?;
            let request = self.request(password)?;
            match call::accepted(&send.call(request).await?, api::ADD) {
                Ok(()) => is_made_now.store(true, Ordering::Relaxed),
                // It may be ours, of a sending that came late.
                Err(fault) if fault.class == FaultClass::AlreadyExists => {
                    return match self.ours(cx).await? {
                        Some(site) => Ok(site.key),
                        None => Err(fault),
                    };
                }
                // It says that it failed. If there is a site all the same, only a person can tell what of it is missing.
                Err(fault) if fault.code.as_deref() == Some(fault::FAILED) => {
                    return Err(match self.ours(cx).await? {
                        Some(site) => half_made(&site, &fault),
                        None => fault,
                    });
                }
                Err(fault) => return Err(fault),
            }
            let site = self.ours(cx).await?.ok_or_else(|| {
                Fault::new(FaultClass::InDoubt, "the panel says that it made the site, and does not show it")
            })?;
            Ok(site.key)
        }))
    }

    /// The site that carries our invoice, with its id as key.
    fn ours<'f>(&'f self, cx: &'f Cx) -> Doing<'f, Option<Site>> {
        Box::pin(async move {
            let mut sites = self.panel.billed(cx, "billing.invoice", &self.invoice).await?;
            let Some(mut site) = sites.pop() else { return Ok(None) };
            if !sites.is_empty() || site.domain != self.domain {
                return Err(Fault::new(
                    FaultClass::AlreadyExists,
                    format!(
                        "{} has this service's invoice {} already{}: which of them is it?",
                        site.label(),
                        self.invoice,
                        if sites.is_empty() { ", with another domain" } else { ", and so have others" },
                    ),
                )
                .refused());
            }
            site.key = self.panel.id_of(cx, &site).await?;
            Ok(Some(site))
        })
    }

    /// Refuses a domain that the panel has, be it as another site's further domain.
    fn free<'f>(&'f self, cx: &'f Cx) -> Doing<'f, ()> {
        Box::pin(async move {
            let sites = self.panel.collect(cx, &[], &[], &[&self.domain]).await?;
            let Some(site) = sites.first() else { return Ok(()) };
            let fault = format!("{} is on the panel already, at {}", self.domain, site.label());
            Err(Fault::new(FaultClass::AlreadyExists, fault).for_customer("This domain is in use already.").refused())
        })
    }

    fn request(&self, password: &Secret<String>) -> Result<billhook_plugin_api::Request, Fault> {
        let text = |key: &str, value: &str| (key.to_owned(), Param::text(value));
        let mut options = vec![
            ("siteinfo.enabled".to_owned(), Param::Int(1)),
            text("siteinfo.domain", &self.domain),
            text("siteinfo.admin_user", &self.user),
            text("siteinfo.email", self.email),
            text("siteinfo.plan", &self.product.plan),
            // Without it the panel makes one up that nobody learns.
            text("auth.tpasswd", password.expose()),
            text("billing.invoice", &self.invoice),
        ];
        if let Some(parent) = &self.product.parent_invoice {
            options.push(text("billing.parent_invoice", parent));
        }
        options.extend(package::limits(self.product));
        let flags = [("bootstrap", self.product.certificate), ("notify", self.product.welcome_mail)];
        let flags = flags.iter().filter(|(_, is_set)| *is_set);
        self.panel.caller.add(
            &self.domain,
            &self.user,
            options,
            flags.map(|(name, _)| ((*name).to_owned(), Param::Bool(true))).collect(),
        )
    }

    fn account(&self, id: String, site: Site, password: Secret<String>) -> Account {
        let mut account = Account { properties: site.properties(), ..Account::default() };
        if let Some(url) = &self.panel.panel_url {
            account.properties.insert("panel_url".into(), url.clone().into());
        }
        if site.active == Some(false) {
            account.message.staff = Some("the site is suspended on the panel".into());
        }
        account.remote_id = id;
        account.username = site.admin_user.or_else(|| Some(self.user.clone()));
        account.secrets.insert("password".into(), password);
        account
    }
}

/// Ends the operation. Left in doubt, a look would find the site and call it made; so the step counts as not done, although
/// there is something, and the text says what to do with it.
fn half_made(site: &Site, fault: &Fault) -> Fault {
    let text = format!(
        "{} is there, but {}: look on the panel whether it is whole; a repeat takes it as it is, so delete it there if not",
        site.label(),
        fault.staff,
    );
    Fault::new(FaultClass::AlreadyExists, text).with_code(fault::FAILED).refused()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, PASSWORD, Site as Row, Stage, calls, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Client, Provider, Service};
    use serde_json::{Value, json};

    fn run(host: &ScriptedHost, more: Value) -> Ended<Account> {
        host.run(async |cx| stage::provider().create(cx, stage::create(more)).await)
    }

    #[test]
    fn a_site_is_made_once_with_its_password_and_invoice() {
        let stage = Stage::new();
        let host = stage.host();

        let account = ok(run(&host, json!({ "disk_gb": 5, "ssh": true, "certificate": true })));

        assert_eq!(changes(&host), ["admin_add_site"]);
        assert_eq!((account.remote_id.as_str(), account.username.as_deref()), ("site12", Some("auser")));
        assert_eq!(account.secrets["password"].expose(), PASSWORD);
        assert_eq!(account.properties["invoice"], "billhook-p-1007");
        let site = stage.site();
        assert_eq!((site.domain.as_str(), site.password.as_str()), ("a.example", PASSWORD));
        for (name, value) in [
            ("siteinfo.enabled", "1"),
            ("siteinfo.domain", "a.example"),
            ("siteinfo.admin_user", "auser"),
            ("siteinfo.email", "x@example.org"),
            ("siteinfo.plan", "basic"),
            ("billing.invoice", "billhook-p-1007"),
            ("diskquota.quota", "5"),
            ("diskquota.units", "GB"),
            ("ssh.enabled", "1"),
            ("flag.bootstrap", "true"),
        ] {
            assert_eq!(site.option(name), Some(value), "{name}");
        }
        let steps = host.steps();
        assert!(steps.iter().any(|step| step.name == "site" && step.remote_id && step.settle.refuses_twice));
    }

    #[test]
    fn a_create_that_breaks_anywhere_makes_one_site_whose_password_is_the_one_told() {
        for how in BREAKS {
            let stage = Stage::new();
            stage.breaks("admin_add_site", how);
            let host = stage.host();

            let mut ended = to_end(|| run(&host, json!({})));
            if matches!(how, Break::False { done: true } | Break::Fault { done: true, .. }) {
                // A person finds it whole, and repeats the order.
                let failed = fault(ended);
                assert_eq!((failed.class, failed.refused), (FaultClass::AlreadyExists, true), "{how:?}");
                assert!(failed.staff.contains("site12") && failed.staff.contains("panel"), "{failed}");
                ended = to_end(|| run(&host, json!({})));
            }
            let account = ok(ended);

            assert_eq!(account.remote_id, "site12", "{how:?}");
            assert_eq!(stage.world().sites.len(), 1, "{how:?}");
            assert_eq!(stage.site().password, PASSWORD, "{how:?}");
        }
    }

    #[test]
    fn reads_that_break_are_repeated_and_make_nothing_twice() {
        for how in [Break::Lost { done: false }, Break::Page { done: false, status: 502 }, Break::Cut { done: false }] {
            let stage = Stage::new();
            stage.breaks("admin_collect", how);
            let host = stage.host();
            ok(to_end(|| run(&host, json!({}))));
            assert_eq!(stage.world().sites.len(), 1, "{how:?}");
        }
        let stage = Stage::new();
        stage.world().nulls = 3;
        ok(run(&stage.host(), json!({})));
        stage.world().nulls = 9;
        assert_eq!(fault(run(&stage.host(), json!({}))).class, FaultClass::PanelBug);
    }

    #[test]
    fn a_site_of_an_earlier_operation_is_adopted_and_its_password_set_again() {
        let stage = Stage::with_site();
        let host = stage.host();

        let account = ok(run(&host, json!({})));

        assert_eq!((account.remote_id.as_str(), changes(&host)), ("site12", vec!["auth_change_password".to_owned()]));
        assert_eq!(stage.site().password, PASSWORD);
        assert_eq!(stage.world().admin_password, "root");
        for how in BREAKS {
            let stage = Stage::with_site();
            stage.breaks("auth_change_password", how);
            let host = stage.host();
            ok(to_end(|| run(&host, json!({}))));
            assert_eq!(stage.site().password, PASSWORD, "{how:?}");
        }
    }

    #[test]
    fn what_is_not_certainly_ours_is_never_adopted() {
        let other = |domain: &str, invoice: &str| Row::of(domain, "other", Some(invoice), None);
        let aliased = Row { aliases: vec!["a.example".into()], ..other("b.example", "x-1") };
        for (rows, said) in [
            (vec![other("a.example", "x-1")], "on the panel already, at site1"),
            (vec![Row::of("a.example", "other", None, None)], "on the panel already"),
            (vec![aliased], "on the panel already, at site1 (b.example)"),
            (vec![other("b.example", "billhook-p-1007")], "with another domain"),
            (vec![other("a.example", "billhook-p-1007"), other("c.example", "billhook-p-1007")], "so have others"),
            (vec![Row::of("b.example", "auser", Some("x-1"), None)], "taken on the panel"),
        ] {
            let stage = Stage::new();
            stage.world().sites.extend((1..).zip(rows.clone()));
            let host = stage.host();

            let refused = fault(run(&host, json!({})));

            assert_eq!((refused.class, refused.refused), (FaultClass::AlreadyExists, true), "{refused}");
            assert!(refused.staff.contains(said), "{refused}");
            assert_eq!(stage.world().sites.values().cloned().collect::<Vec<_>>(), rows);
        }
    }

    #[test]
    fn a_refusal_leaves_nothing_behind_and_can_be_corrected() {
        for (text, class) in [
            ("Weak password disallowed", FaultClass::InvalidInput),
            ("unable to gain exclusive lock", FaultClass::ConflictBusy),
            ("insufficient privileges", FaultClass::Permission),
        ] {
            let stage = Stage::new();
            stage.breaks("admin_add_site", Break::Fault { done: false, text });
            let host = stage.host();

            assert_eq!(fault(run(&host, json!({}))).class, class);
            ok(run(&host, json!({})));
            assert_eq!(stage.world().sites.len(), 1);
        }
    }

    #[test]
    fn a_password_that_is_made_here_is_the_same_in_every_run() {
        let stage = Stage::new();
        stage.breaks("admin_add_site", Break::Lost { done: true });
        let host = stage.host();
        let order = || Create { password: None, ..stage::create(json!({})) };

        let account = ok(to_end(|| host.run(async |cx| stage::provider().create(cx, order()).await)));

        let password = account.secrets["password"].expose().clone();
        assert_eq!((password.len(), stage.site().password), (20, password.clone()));
        assert!(host.secrets().contains(&password));
        assert!(host.steps().iter().any(|step| step.name == "password" && step.sealed));
    }

    #[test]
    fn an_order_that_cannot_be_made_sends_nothing() {
        let client = Client { email: " ".into(), ..Client::default() };
        let service = |domain: Option<&str>, username: &str| Service {
            domain: domain.map(str::to_owned),
            username: Some(username.into()),
            ..stage::create(json!({})).service
        };
        for (order, said) in [
            (Create { client, ..stage::create(json!({})) }, "e-mail"),
            (Create { service: service(None, "auser"), ..stage::create(json!({})) }, "domain"),
            (Create { service: service(Some("site12"), "auser"), ..stage::create(json!({})) }, "domain"),
            (Create { service: service(Some("a.example"), "a.user"), ..stage::create(json!({})) }, "login name"),
            (Create { password: Some(Secret::new(" ".to_owned())), ..stage::create(json!({})) }, "password"),
        ] {
            let host = Stage::new().host();
            let refused = fault(host.run(async |cx| stage::provider().create(cx, order).await));
            assert_eq!(refused.class, FaultClass::InvalidInput);
            assert!(refused.staff.contains(said), "{refused}");
            assert!(calls(&host).is_empty());
        }
        let host = Stage::new().host();
        let order = Create { password: Some(Secret::new("hun\u{8}ter2".to_owned())), ..stage::create(json!({})) };
        let refused = fault(host.run(async |cx| stage::provider().create(cx, order).await));
        assert_eq!((refused.class, changes(&host).len()), (FaultClass::InvalidInput, 0));
    }

    #[test]
    fn a_site_can_join_a_group_when_it_is_made() {
        let stage = Stage::new();
        ok(run(&stage.host(), json!({ "parent_invoice": "master-1" })));
        let site = stage.site();
        assert_eq!(site.option("billing.parent_invoice"), Some("master-1"));
        assert_eq!(site.option("billing.invoice"), Some("billhook-p-1007"));
    }
}
