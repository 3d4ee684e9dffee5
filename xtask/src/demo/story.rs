//! What happens in the demo, in plain words, each claim compared with the panel.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::cli;
use super::hook::{self, Hook};
use super::house::House;
use super::panel::Machine;
use crate::http::Reply;

/// The service whose order loses its answer.
const FIRST: u32 = 1001;
/// The service in whose order the daemon dies.
const SECOND: u32 = 1002;

/// From a hook to the call that is to break; well below the time-out after which the daemon would give up by itself.
const HELD_LIMIT: Duration = Duration::from_secs(4);

/// Tells all of it.
pub(super) fn tell(house: &mut House) -> Result<()> {
    say("A fake VirtFusion panel and the daemon are running. Their files are in:");
    show(&house.folder().display().to_string());

    let order = lost_answer(house)?;
    killed_host(house)?;
    life(house)?;
    judgement(house)?;
    module_log(house, &order)
}

/// Says how to go on by hand.
pub(super) fn invite(house: &mut House) -> Result<()> {
    scene("Still running");
    say("Order another server:");
    show(&Hook::create(1003).curl(&house.hook_socket()));
    say("Look at the module log:");
    show(&format!("{} log list", house.shown_command()));
    say("Look at the panel from outside:");
    show(&format!("curl http://{}/_panel/servers", house.panel().address));
    let pids: Vec<String> = house.pids().iter().map(u32::to_string).collect();
    say("Stop the daemon and the panel, and remove the files:");
    show(&format!("kill {} && sleep 2 && rm -r {}", pids.join(" "), house.folder().display()));
    Ok(())
}

/// The panel makes the server and its answer never arrives.
fn lost_answer(house: &House) -> Result<Order> {
    scene("1. An order whose answer is lost");
    let panel = house.panel();
    panel.break_next("POST", "/servers", "drop_after_effect")?;
    say(
        "The panel will make the server and then cut the connection without an answer. Billing orders a server and is \
         willing to wait 5 seconds:",
    );
    let create = Hook::create(FIRST);
    let impatient = create.clone().wait(5);
    show(&impatient.curl(&house.hook_socket()));
    let reply = impatient.send(&house.hook_socket())?;
    let state = hook::state(&reply)?;
    ensure!(reply.status == 202, "a lost answer must not be a result, but {state} came with {}", reply.status);
    ensure!(panel.is_struck()?, "the planned accident did not happen");
    say(&format!(
        "Answer: 202, the operation is {state:?}. Neither success nor failure: nobody knows yet. The panel has {}.",
        servers(panel.servers()?.len())
    ));
    say(
        "The daemon does not order again. A panel can still be working on a call that was cut off, so it waits 10 seconds \
         before it looks for a server that was not there before the order. Billing sends the very same request again, with \
         the same Idempotency-Key, and waits longer:",
    );
    show(&create.curl(&house.hook_socket()));
    let reply = create.send(&house.hook_socket())?;
    let order = finished_order(&reply)?;
    let found = panel.servers()?;
    ensure!(found.len() == 1, "one order, and the panel has {}", servers(found.len()));
    ensure!(
        found[0].id.to_string() == order.remote_id,
        "the daemon names server {}, the panel {}",
        order.remote_id,
        found[0].id
    );
    say(&format!(
        "Answer: 200, succeeded, server {}. The panel has {}, not two.",
        order.remote_id,
        servers(found.len())
    ));
    Ok(order)
}

/// The daemon is killed while the panel is making the server.
fn killed_host(house: &mut House) -> Result<()> {
    scene("2. The daemon dies in the middle of an order");
    let panel = house.panel();
    panel.break_next("POST", "/servers", "hang_after_effect")?;
    say("The panel will make the server and hold its answer back. Meanwhile the daemon is killed with SIGKILL.");
    let create = Hook::create(SECOND);
    show(&create.curl(&house.hook_socket()));
    let caller = call_aside(&create, &house.hook_socket());
    panel.wait_until_held(HELD_LIMIT)?;
    house.kill_host()?;
    let broken = caller.join().map_err(|_| anyhow!("the caller panicked"))?;
    ensure!(broken.is_err(), "a dead daemon answered: {broken:?}");
    panel.release()?;
    say(&format!(
        "Billing's connection broke; it has no answer at all. The panel has {}, one of which the daemon has no id for.",
        servers(panel.servers()?.len())
    ));
    say(
        "The daemon starts again. It knows from its journal that the order was begun, waits its 10 seconds, and looks. \
         Billing sends the same request again:",
    );
    house.start_host()?;
    let order = finished_order(&create.send(&house.hook_socket())?)?;
    let (now, made) = (panel.servers()?, panel.made()?);
    ensure!(made == 2 && now.len() == 2, "two orders, and the panel made {}", servers(made));
    ensure!(
        now.iter().any(|machine| machine.id.to_string() == order.remote_id),
        "the daemon names server {}, which the panel does not have",
        order.remote_id
    );
    say(&format!(
        "Answer: 200, succeeded, server {}. Two orders, two accidents, and the panel made {}.",
        order.remote_id,
        servers(made)
    ));
    Ok(())
}

/// The rest of the first service's life.
fn life(house: &House) -> Result<()> {
    scene("3. The rest of a service's life");
    let panel = house.panel();
    let first = panel.servers()?.iter().map(|machine| machine.id).min().context("the panel has no server")?;
    let look = || Ok::<_, anyhow::Error>(panel.servers()?.into_iter().find(|machine| machine.id == first));

    send(house, "Suspend:", &Hook::on("suspend", FIRST))?;
    confirm(look()?, "is suspended", |machine| machine.suspended)?;

    send(house, "Unsuspend:", &Hook::on("unsuspend", FIRST))?;
    confirm(look()?, "runs again", |machine| !machine.suspended && machine.state == "complete")?;

    send(house, "Renew, by a month:", &Hook::renew(FIRST, "2027-01-01", "2027-02-01"))?;
    confirm(look()?, "is there and in order", |machine| !machine.suspended)?;

    let answer = send(house, "Terminate:", &Hook::on("terminate", FIRST))?;
    ensure!(answer["result"]["gone"] == true, "terminate answered without `gone`: {answer:#}");
    ensure!(look()?.is_none(), "the daemon says that server {first} is gone, and the panel still has it");
    say(&format!("The panel says: server {first} is gone."));
    Ok(())
}

fn confirm(machine: Option<Machine>, claim: &str, is_so: impl Fn(&Machine) -> bool) -> Result<()> {
    match machine {
        Some(machine) if is_so(&machine) => {
            say(&format!("The panel says: server {} {claim}.", machine.id));
            Ok(())
        }
        other => bail!("the panel does not agree that the server {claim}: {other:?}"),
    }
}

/// What the panel itself thinks of its client.
fn judgement(house: &House) -> Result<()> {
    scene("4. The panel's judgement");
    let complaints = house.panel().complaints()?;
    ensure!(complaints.is_empty(), "the panel complains:\n  {}", complaints.join("\n  "));
    let (made, left) = (house.panel().made()?, house.panel().servers()?.len());
    ensure!((made, left) == (2, 1), "expected 2 servers made and 1 left, not {made} and {left}");
    say(
        "No request broke the panel's rules, nothing was made twice, nothing of anybody else was touched. It made 2 servers \
         for 2 orders, 1 was terminated, 1 is left.",
    );
    Ok(())
}

/// What an admin sees of it.
fn module_log(house: &House, order: &Order) -> Result<()> {
    scene("5. The module log");
    say("Everything that happened, newest first:");
    show(&format!("{} log list", house.shown_command()));
    println!("{}", cli::run(house.command(), &["log", "list"])?);
    say("The order whose answer was lost:");
    show(&format!("{} log show {}", house.shown_command(), order.id));
    println!("{}", cli::run(house.command(), &["log", "show", &order.id])?);

    let entry = cli::run(house.command(), &["--json", "log", "show", &order.id])?;
    // That nothing is found must not be because nothing was looked at.
    ensure!(entry.contains("/build") && entry.contains("‹masked:"), "the entry has no exchange with a masked secret");
    let password =
        order.root_password.as_deref().context("the order has no root password, and its build answer was not lost")?;
    let mut places = house.files()?;
    places.push(("the module log".to_owned(), entry.into_bytes()));
    for (what, secret) in [("the panel's API token", house.token()), ("the server's root password", password)] {
        for (place, bytes) in &places {
            ensure!(!holds(bytes, secret.as_bytes()), "{what} stands in {place}");
        }
    }
    say(
        "The panel's API token and the server's root password, which billing was given, are masked in this entry, and stand \
         nowhere in the database files or in the daemon's own log.",
    );
    Ok(())
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

/// What is known of a finished order.
struct Order {
    id: String,
    remote_id: String,
    root_password: Option<String>,
}

fn finished_order(reply: &Reply) -> Result<Order> {
    let state = hook::state(reply)?;
    ensure!(state == "succeeded", "the order is {state} instead of succeeded: {:#}", reply.body);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let result = &reply.body["result"];
    Ok(Order {
        id: text(&reply.body["operation"]["id"]).context("an operation without an id")?,
        remote_id: text(&result["remote_id"]).context("an order without a remote id")?,
        root_password: text(&result["secrets"]["root_password"]),
    })
}

/// Sends a hook that is to succeed, and returns the answer.
fn send(house: &House, title: &str, hook: &Hook) -> Result<Value> {
    say(title);
    show(&hook.curl(&house.hook_socket()));
    let reply = hook.send(&house.hook_socket())?;
    let state = hook::state(&reply)?;
    ensure!(state == "succeeded", "the hook is {state} instead of succeeded: {:#}", reply.body);
    Ok(reply.body)
}

/// Sends a hook from a thread of its own, as billing would from a process of its own.
fn call_aside(hook: &Hook, socket: &Path) -> thread::JoinHandle<Result<Reply>> {
    let (hook, socket) = (hook.clone(), socket.to_owned());
    thread::spawn(move || hook.send(&socket))
}

fn servers(count: usize) -> String {
    match count {
        0 => "no server".to_owned(),
        1 => "one server".to_owned(),
        count => format!("{count} servers"),
    }
}

fn scene(title: &str) {
    println!("\n\n== {title} ==");
}

fn say(text: &str) {
    println!("\n{}", wrapped(text));
}

fn show(line: &str) {
    println!("\n    {}", line.replace('\n', "\n    "));
}

/// Breaks a paragraph at spaces, so that it reads well in any terminal.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 96;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.is_empty() || line.len() + 1 + word.len() <= WIDTH);
        match line {
            Some(line) => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_paragraph_is_broken_at_spaces() {
        let text = wrapped(&"word ".repeat(60));
        assert!(text.lines().all(|line| line.len() <= 96 && !line.ends_with(' ')), "{text}");
        assert_eq!(text.split_whitespace().count(), 60);
    }

    #[test]
    fn only_a_succeeded_order_is_finished() {
        let body = |state: &str| json!({ "operation": { "id": "op_1", "state": state }, "result": { "remote_id": "7", "secrets": { "root_password": "p" } } });
        let order = finished_order(&Reply { status: 200, body: body("succeeded") }).unwrap();
        assert_eq!(
            (order.id.as_str(), order.remote_id.as_str(), order.root_password.as_deref()),
            ("op_1", "7", Some("p"))
        );
        assert!(finished_order(&Reply { status: 202, body: body("waiting") }).is_err());
        assert!(finished_order(&Reply { status: 422, body: json!({ "detail": "no" }) }).is_err());
    }
}
