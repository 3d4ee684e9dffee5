//! Catalogues and figures.

use super::super::state::World;
use super::super::xml::Element;
use super::{Reply, read};

const GIB: u64 = 1 << 30;

pub(super) fn templates(world: &World) -> Reply {
    let row = |template: &super::super::config::Template| {
        let switch = |on: bool| if on { "on" } else { "off" };
        Element::holding(
            "elem",
            vec![
                Element::text("id", &template.id),
                Element::text("name", &template.id),
                Element::text("installed", switch(template.installed)),
                Element::text("restrict", switch(template.restricted)),
            ],
        )
    };
    read(world.templates.iter().map(row).collect())
}

/// The volume of this month. A machine that was never sold has no row.
pub(super) fn traffic(world: &World) -> Reply {
    let volume = |name: &str, bytes: u64| {
        #[expect(clippy::cast_precision_loss, reason = "it is shown with two places")]
        let shown = Element::text(name, format!("{:.2}", bytes as f64 / GIB as f64));
        if world.knobs.manners.exact_volumes { shown.with("orig", bytes) } else { shown }
    };
    let rows = measured(world).map(|id| {
        Element::holding(
            "elem",
            vec![Element::text("id", id), volume("rx", received(id)), volume("tx", 2 * received(id))],
        )
    });
    read(vec![report(world, rows.collect())])
}

/// The 95th percentile, in megabits for each second.
pub(super) fn burstable(world: &World) -> Reply {
    let rows = measured(world).map(|id| {
        Element::holding(
            "elem",
            vec![
                Element::text("id", id),
                Element::text("hostname", world.server(id).map_or("", |server| server.hostname())),
                Element::text("burst", format!("{}.5", id)),
            ],
        )
    });
    read(vec![report(world, rows.collect())])
}

/// The machines that a report has rows of.
fn measured(world: &World) -> impl Iterator<Item = u64> {
    world.servers.iter().filter(|server| server.owner.is_some()).map(|server| server.id)
}

/// Bytes that a machine has received this month.
pub(in super::super) fn received(id: u64) -> u64 {
    id * GIB / 2
}

fn report(world: &World, rows: Vec<Element>) -> Element {
    let rows = if world.knobs.manners.deep_reports {
        vec![Element::holding("report", vec![Element::holding("rows", rows)])]
    } else {
        rows
    };
    Element::holding("reportdata", rows)
}
