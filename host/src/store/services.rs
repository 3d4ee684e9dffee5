//! Reading services, scopes and remote ids.

use super::dialect::Text;
use super::look::Found;
use super::model::{DuePoll, OperationId, Service, ServiceFilter, ServiceKey, ServicePage, ServiceStatus};
use super::reader::{Cells, Moment, Query};
use super::{Store, StoreError, seals};
use crate::admission::{Earlier, Needed};
use crate::operation::{Effects, State};
use crate::seal::Sealer;
use billhook_plugin_api::Hook;
use std::collections::BTreeMap;

/// A service's columns, told apart from others by `s_`. Its sealed secrets are hex within JSON, so that one read has it all.
macro_rules! service_columns {
    (bare) => {
        "s.platform AS s_platform, s.service_id AS s_service_id, s.epoch AS s_epoch, s.version AS s_version,
         s.status AS s_status, s.provider AS s_provider, s.server AS s_server, s.panel AS s_panel,
         s.product AS s_product, s.remote_id AS s_remote_id, s.client_id AS s_client_id, s.username AS s_username,
         s.domain AS s_domain, s.properties AS s_properties, s.paid_until AS s_paid_until, s.ends_at AS s_ends_at,
         s.poll_at AS s_poll_at, s.pending AS s_pending, s.unsettled_ms AS s_unsettled_ms,
         s.created_at AS s_created_at, s.updated_at AS s_updated_at"
    };
    () => {
        concat!(
            service_columns!(bare),
            ", (SELECT {object name, {hex sealed}} FROM service_secret
                WHERE service_secret.platform = s.platform AND service_secret.service_id = s.service_id) AS s_secrets"
        )
    };
}
pub(super) use service_columns;

pub(super) static SERVICE: Text =
    Text::new(concat!("SELECT ", service_columns!(), " FROM service s WHERE s.platform = $1 AND s.service_id = $2"));

/// A part of [`EARLIER`]: operations, in place of a service nothing, and whether they are found by their key.
macro_rules! earlier_operations {
    ($named:literal, $which:literal) => {
        concat!(
            " UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                 NULL, NULL, NULL, NULL, NULL, NULL, ",
            $named,
            ", o.id, o.seq, o.epoch, o.hook, o.state, o.touched, o.doubted, o.fingerprint, o.product, o.renew_to
             FROM operation o WHERE ",
            $which
        )
    };
}

/// A row of the service, if it is known, and one for each operation that admission may need, in no order; some may stand there twice.
/// `$3`, `$4` and `$5` say what is [`Needed`]. Each part has an index of its own: a service may have thousands of operations
/// behind it.
pub(super) static EARLIER: Text = Text::new(concat!(
    "SELECT ",
    service_columns!(),
    ", CAST(NULL AS BIGINT) AS named, NULL AS id, NULL AS seq, NULL AS epoch, NULL AS hook, NULL AS state, NULL AS touched,
         NULL AS doubted, NULL AS fingerprint, NULL AS product, NULL AS renew_to
     FROM service s WHERE s.platform = $1 AND s.service_id = $2",
    earlier_operations!("0", "o.platform = $1 AND o.service_id = $2 AND {open o.}"),
    earlier_operations!(
        "0",
        "o.platform = $1 AND o.service_id = $2 AND o.hook IN ('create', 'renew')
             AND o.epoch = (
                 SELECT s.epoch FROM service s
                 WHERE s.platform = $1 AND s.service_id = $2 AND ($3 = 1 OR s.remote_id IS NULL))"
    ),
    earlier_operations!(
        "0",
        "o.id = (
             SELECT n.id FROM operation n
             WHERE $4 = 1 AND n.platform = $1 AND n.service_id = $2 ORDER BY n.seq DESC LIMIT 1)"
    ),
    earlier_operations!(
        "0",
        "o.id = (
             SELECT e.id FROM operation e
             WHERE $5 = 1 AND e.platform = $1 AND e.service_id = $2 AND e.hook = 'terminate' AND e.state = 'succeeded'
             ORDER BY e.seq DESC LIMIT 1)"
    ),
    earlier_operations!("1", "o.platform = $1 AND o.key = $6"),
));

/// For lists, which show no secret and need not open any.
const LISTED: &str = concat!("SELECT ", service_columns!(bare), ", '{}' AS s_secrets FROM service s");

/// Services that a page looks at, as in the lists of the log.
const LOOKS_AT: u32 = 20_000;

/// The most rows of one page.
const PAGE_MOST: u32 = 1_000;

impl Store {
    /// The service.
    ///
    /// # Errors
    ///
    /// As every read: [`StoreError::Unavailable`], or [`StoreError::Corrupt`] for a row that cannot be read back.
    pub async fn service(&self, key: &ServiceKey) -> Result<Option<Service>, StoreError> {
        let row = Query::new(&SERVICE).bind(&key.platform).bind(&key.service_id).first(&self.inner.reader).await?;
        row.map(|row| read(&Cells::prefixed(&row, "service", "s_", "service_id"), &self.inner.sealer)).transpose()
    }

    /// Services that match, by platform and id, without their secrets; at most a thousand.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn list_services(&self, filter: &ServiceFilter) -> Result<ServicePage, StoreError> {
        let limit = filter.limit.min(PAGE_MOST);
        let mut moment = self.inner.reader.moment().await?;
        // An id on a panel has an index, and without a filter every service matches; everything else is looked for along the
        // key, for a bounded way.
        let end =
            if filter.remote_id.is_some() || !filter.searches() { None } else { end(&mut moment, filter).await? };
        let query = bind(Query::made(list(filter, end.is_some())), filter, end.as_ref(), limit);
        let rows = query.all_of(&mut moment).await?;
        moment.end().await?;
        let services =
            rows.iter().map(|row| read(&Cells::prefixed(row, "service", "s_", "service_id"), &self.inner.sealer));
        let services: Vec<Service> = services.collect::<Result<_, _>>()?;
        let last = services.last().filter(|_| services.len() == limit as usize).map(|last| last.key.clone());
        Ok(ServicePage { services, next: last.or(end) })
    }

    /// What admission needs of an arriving hook, of one moment: the service, the operation of the platform with that
    /// `event` key, and of the service's operations all unfinished ones and what else is `needed`, oldest first. What is not needed
    /// may be there.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn earlier(&self, key: &ServiceKey, event: Option<&str>, needed: Needed) -> Result<Found, StoreError> {
        self.inner.looker.look(key, event, needed).await
    }

    /// Services to be read after something pending, the next first.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn due_polls(&self, limit: u32) -> Result<Vec<DuePoll>, StoreError> {
        static DUE: Text = Text::new(
            "SELECT platform, service_id, poll_at FROM service WHERE poll_at IS NOT NULL ORDER BY poll_at LIMIT $1",
        );
        let rows = Query::new(&DUE).bind(limit).all(&self.inner.reader).await?;
        rows.iter()
            .map(|row| {
                let cells = Cells::new(row, "service", "service_id");
                Ok(DuePoll { service: key_of(&cells)?, poll_at: cells.number("poll_at")? })
            })
            .collect()
    }

    /// How often something of the scope began or ended, and which step of which operation holds it.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn scope(&self, key: &str) -> Result<(u64, Option<(OperationId, String)>), StoreError> {
        static SCOPE: Text = Text::new("SELECT key, count, operation_id, step FROM scope WHERE key = $1");
        let Some(row) = Query::new(&SCOPE).bind(key).first(&self.inner.reader).await? else {
            return Ok((0, None));
        };
        let cells = Cells::new(&row, "scope", "key");
        let holder: Option<String> = cells.cell("operation_id")?;
        let step: Option<String> = cells.cell("step")?;
        Ok((cells.number("count")?, holder.map(OperationId).zip(step)))
    }

    /// Which of `ids` belong to live services of the panel.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn claimed(&self, panel: &str, ids: &[String]) -> Result<Vec<String>, StoreError> {
        static CLAIMED: Text = Text::new(
            "SELECT remote_id FROM service WHERE panel = $1 AND remote_id IN (SELECT one.value FROM {list $2} AS one)",
        );
        let ids = serde_json::Value::from(ids).to_string();
        let rows = Query::new(&CLAIMED).bind(panel).bind(ids).all(&self.inner.reader).await?;
        rows.iter().map(|row| Cells::new(row, "service", "remote_id").cell("remote_id")).collect()
    }

    /// The live service that has this id on the panel.
    ///
    /// # Errors
    ///
    /// See [`service`](Self::service).
    pub async fn owner_of(&self, panel: &str, remote_id: &str) -> Result<Option<ServiceKey>, StoreError> {
        static OWNER: Text = Text::new("SELECT platform, service_id FROM service WHERE panel = $1 AND remote_id = $2");
        let row = Query::new(&OWNER).bind(panel).bind(remote_id).first(&self.inner.reader).await?;
        row.map(|row| key_of(&Cells::new(&row, "service", "service_id"))).transpose()
    }
}

pub(super) fn read_earlier(cells: &Cells<'_>) -> Result<Earlier, StoreError> {
    Ok(Earlier {
        id: cells.cell("id")?,
        seq: cells.number("seq")?,
        epoch: cells.number("epoch")?,
        hook: cells.word("hook", Hook::parse)?,
        state: cells.word("state", State::parse)?,
        effects: Effects { touched: cells.cell("touched")?, doubted: cells.cell("doubted")? },
        fingerprint: cells.cell("fingerprint")?,
        product: cells.cell("product")?,
        renew_to: cells.cell("renew_to")?,
    })
}

/// The service whose columns have the prefix of [`service_columns`].
pub(super) fn read(cells: &Cells<'_>, sealer: &Sealer) -> Result<Service, StoreError> {
    let key = key_of(cells)?;
    let mut secrets = BTreeMap::new();
    for (name, sealed) in cells.json::<BTreeMap<String, String>>("secrets")? {
        let sealed = unhex(&sealed).ok_or_else(|| cells.corrupt("secrets", "it is no hex"))?;
        let value = seals::open_service(sealer, &key, &name, &sealed)?;
        secrets.insert(name, value);
    }
    Ok(Service {
        key,
        epoch: cells.number("epoch")?,
        version: cells.number("version")?,
        status: cells.word("status", ServiceStatus::parse)?,
        provider: cells.cell("provider")?,
        server: cells.cell("server")?,
        panel: cells.cell("panel")?,
        product: cells.cell("product")?,
        remote_id: cells.cell("remote_id")?,
        client_id: cells.cell("client_id")?,
        username: cells.cell("username")?,
        domain: cells.cell("domain")?,
        properties: cells.json("properties")?,
        secrets,
        paid_until: cells.cell("paid_until")?,
        ends_at: cells.some_number("ends_at")?,
        poll_at: cells.some_number("poll_at")?,
        pending: cells.cell("pending")?,
        unsettled_ms: cells.number("unsettled_ms")?,
        created_at: cells.number("created_at")?,
        updated_at: cells.number("updated_at")?,
    })
}

/// The bytes that the database's `hex` wrote.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    (text.len().is_multiple_of(2) && text.is_ascii())
        .then(|| digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect())
        .flatten()
}

impl ServiceFilter {
    /// Whether something is to match beside the key.
    fn searches(&self) -> bool {
        let key =
            Self { platform: self.platform.clone(), after: self.after.clone(), limit: self.limit, ..Self::default() };
        *self != key
    }
}

/// Where a page ends that looks along the key; `None` when there are fewer services than it may look at.
async fn end(moment: &mut Moment, filter: &ServiceFilter) -> Result<Option<ServiceKey>, StoreError> {
    let mut way = "SELECT platform, service_id FROM service".to_owned();
    let conditions =
        [(filter.platform.is_some(), "platform = $1"), (filter.after.is_some(), "(platform, service_id) > ($9, $10)")];
    push(&mut way, &conditions);
    let text = format!(
        "WITH way AS MATERIALIZED ({way} ORDER BY platform, service_id LIMIT $13)
         SELECT platform, service_id FROM way WHERE (SELECT count(*) FROM way) = $13
         ORDER BY platform DESC, service_id DESC LIMIT 1"
    );
    let row = bind(Query::made(text), filter, None, LOOKS_AT).first_of(moment).await?;
    row.map(|row| key_of(&Cells::new(&row, "service", "service_id"))).transpose()
}

fn list(filter: &ServiceFilter, ends: bool) -> String {
    let mut text = LISTED.to_owned();
    let conditions = [
        (filter.platform.is_some(), "platform = $1"),
        (filter.status.is_some(), "status = $2"),
        (filter.provider.is_some(), "provider = $3"),
        (filter.server.is_some(), "server = $4"),
        (filter.product.is_some(), "product = $5"),
        (filter.client_id.is_some(), "client_id = $6"),
        (filter.username.is_some(), "username = $7"),
        (filter.domain.is_some(), "domain = $8"),
        (filter.after.is_some(), "(platform, service_id) > ($9, $10)"),
        (ends, "(platform, service_id) <= ($11, $12)"),
        (filter.remote_id.is_some(), "remote_id = $14"),
    ];
    push(&mut text, &conditions);
    text + " ORDER BY platform, service_id LIMIT $13"
}

fn push(text: &mut String, conditions: &[(bool, &str)]) {
    let mut joint = " WHERE ";
    for (_, condition) in conditions.iter().filter(|(wanted, _)| *wanted) {
        text.push_str(joint);
        text.push_str(condition);
        joint = " AND ";
    }
}

fn bind(query: Query, filter: &ServiceFilter, end: Option<&ServiceKey>, rows: u32) -> Query {
    query
        .bind(filter.platform.clone())
        .bind(filter.status.map(ServiceStatus::as_str))
        .bind(filter.provider.clone())
        .bind(filter.server.clone())
        .bind(filter.product.clone())
        .bind(filter.client_id.clone())
        .bind(filter.username.clone())
        .bind(filter.domain.clone())
        .bind(filter.after.as_ref().map(|key| key.platform.clone()))
        .bind(filter.after.as_ref().map(|key| key.service_id.clone()))
        .bind(end.map(|key| key.platform.clone()))
        .bind(end.map(|key| key.service_id.clone()))
        .bind(rows)
        .bind(filter.remote_id.clone())
}

/// Whose row it is.
pub fn key_of(cells: &Cells<'_>) -> Result<ServiceKey, StoreError> {
    Ok(ServiceKey { platform: cells.cell("platform")?, service_id: cells.cell("service_id")? })
}

/// The statements of lists, for whoever looks at their plans.
#[cfg(test)]
pub fn plans() -> Vec<String> {
    use super::dialect::Dialect;
    let after = ServiceKey { platform: "p".into(), service_id: "1".into() };
    let one = ServiceFilter { remote_id: Some("1".into()), ..ServiceFilter::default() };
    let next = ServiceFilter { domain: Some("d".into()), after: Some(after), ..ServiceFilter::default() };
    [list(&one, false), list(&next, true)].map(|text| Dialect::Sqlite.text(&text).into_owned()).into()
}
