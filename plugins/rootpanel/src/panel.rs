//! The reads that the hooks share.

use crate::RootPanel;
use crate::order::{self, Order};
use crate::plan::{self, Plan, Quote};
use crate::settings::Id;
use billhook_plugin_api::{Cx, Fault, Service};

/// The panel's id of a service's order.
pub fn order_id(service: &Service) -> Result<Id, Fault> {
    let id = service.remote_id.as_deref().ok_or_else(|| {
        Fault::not_found(
            "the service has no order id: look for its order on the panel, and enter the id if there is one",
        )
    })?;
    Id::new(id).ok_or_else(|| Fault::invalid_input("the service's order id is no id of the panel: enter the right one"))
}

/// All orders of the login.
pub async fn orders(panel: &RootPanel, cx: &Cx) -> Result<Vec<Order>, Fault> {
    order::orders_reply(&cx.http(panel.caller.orders()).await?)
}

/// An order; `None` when the panel says in words that it has none.
pub async fn find_order(panel: &RootPanel, cx: &Cx, id: &Id) -> Result<Option<Order>, Fault> {
    order::order_reply(&cx.http(panel.caller.order(id)).await?, id)
}

/// An order that must be there.
pub async fn order(panel: &RootPanel, cx: &Cx, id: &Id) -> Result<Order, Fault> {
    find_order(panel, cx, id).await?.ok_or_else(|| {
        Fault::not_found(format!("the panel has no order {id} any more"))
            .with_code("19")
            .for_customer("The service is gone.")
    })
}

/// A look that is only a help: what goes wrong with it is noted, and no reason to stop after something was done.
pub async fn glance(panel: &RootPanel, cx: &Cx, id: &Id) -> Option<Order> {
    match find_order(panel, cx, id).await {
        Ok(order) => order,
        Err(fault) => {
            cx.note(format!("the order {id} could not be looked at afterwards: {}", fault.staff));
            None
        }
    }
}

/// All plans of the panel.
pub async fn plans(panel: &RootPanel, cx: &Cx) -> Result<Vec<Plan>, Fault> {
    plan::plans_reply(&cx.http(panel.caller.plans()).await?)
}

/// A plan; `None` when it is not sold any more.
pub async fn find_plan(panel: &RootPanel, cx: &Cx, id: &Id) -> Result<Option<Plan>, Fault> {
    let plans = plan::plans_reply(&cx.http(panel.caller.plan(id.as_str())).await?)?;
    Ok(plans.into_iter().find(|plan| plan.id == *id))
}

/// What the login has at the panel.
pub async fn balance(panel: &RootPanel, cx: &Cx) -> Result<Quote, Fault> {
    plan::balance_reply(&cx.http(panel.caller.balance()).await?)
}
