//! Tests of `packml`.

use super::*;

const BASE: Machine = Machine { edges: Edges::BASE, left_out: LeftOut(0) };
const OPC_UA: Machine = Machine { edges: Edges::OPC_UA, left_out: LeftOut(0) };

/// The states in which a machine knows a command, and where it leads.
fn known(machine: Machine, command: Command) -> String {
    let edges = State::ALL
        .into_iter()
        .filter_map(|state| machine.command(state, command).ok().map(|to| format!("{state}>{to}")));
    edges.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_base_model_has_these_edges_and_no_others() {
    let table = [
        (Command::Reset, "Stopped>Resetting Complete>Resetting"),
        (Command::Start, "Idle>Starting"),
        (Command::Hold, "Execute>Holding"),
        (Command::Unhold, "Held>Unholding"),
        (Command::Suspend, "Execute>Suspending"),
        (Command::Unsuspend, "Suspended>Unsuspending"),
        (Command::Clear, "Aborted>Clearing"),
        (Command::Complete, ""),
        (
            Command::Stop,
            "Starting>Stopping Idle>Stopping Suspended>Stopping Execute>Stopping Holding>Stopping Held>Stopping Unholding>Stopping \
             Suspending>Stopping Unsuspending>Stopping Resetting>Stopping Completing>Stopping Complete>Stopping",
        ),
    ];
    for (command, edges) in table {
        assert_eq!(known(BASE, command), edges, "{command}");
    }
    let aborts = State::ALL.into_iter().filter(|state| BASE.command(*state, Command::Abort) == Ok(State::Aborting));
    assert!(aborts.eq(State::ALL.into_iter().filter(|state| !matches!(state, State::Aborting | State::Aborted))));
}

#[test]
fn a_machine_may_have_the_further_edges() {
    let holds =
        "Starting>Holding Suspended>Holding Execute>Holding Unholding>Holding Suspending>Holding Unsuspending>Holding";
    assert_eq!(known(OPC_UA, Command::Hold), holds);
    assert_eq!(known(OPC_UA, Command::Complete), "Execute>Completing");
    for command in Command::ALL.into_iter().filter(|command| !matches!(command, Command::Hold | Command::Complete)) {
        assert_eq!(known(OPC_UA, command), known(BASE, command), "{command}");
    }
}

#[test]
fn an_acting_state_ends_by_itself_and_a_wait_state_does_not() {
    for state in State::ALL {
        assert_eq!(BASE.complete(state).is_some(), state.kind() == Kind::Acting, "{state}");
    }
    let ends = State::ALL.into_iter().filter_map(|state| BASE.complete(state).map(|to| format!("{state}>{to}")));
    let table = "Clearing>Stopped Starting>Execute Execute>Completing Stopping>Stopped Aborting>Aborted Holding>Held Unholding>Execute \
                 Suspending>Suspended Unsuspending>Execute Resetting>Idle Completing>Complete";
    assert_eq!(ends.collect::<Vec<_>>().join(" "), table);
}

#[test]
fn numbers_and_names_lead_to_their_state_and_back() {
    for state in State::ALL {
        assert_eq!(State::from_number(state.number().into()), Some(state));
        assert_eq!(State::from_name(&state.name().to_uppercase()), Some(state));
    }
    for number in [i64::MIN, -1, 0, 18, 19, i64::MAX] {
        assert_eq!(State::from_number(number), None);
    }
    assert_eq!((State::from_name("Completed"), State::from_name("Running")), (Some(State::Complete), None));
    for (at, command) in Command::ALL.into_iter().enumerate().take(9) {
        assert_eq!(command.number(), u8::try_from(at + 1).ok());
    }
    assert!((1..=31).all(|number| Mode::from_number(number).map(Mode::number) == u8::try_from(number).ok()));
    assert!([-1, 0, 32].into_iter().all(|number| Mode::from_number(number).is_none()));
}

#[test]
fn a_mode_may_leave_states_out() {
    // As a simple machine: Stopped, Idle, Execute, Aborted (the least that is seen in OPC 30060).
    use State::*;
    let least = [
        Clearing,
        Starting,
        Suspended,
        Stopping,
        Holding,
        Held,
        Unholding,
        Suspending,
        Unsuspending,
        Resetting,
        Completing,
        Complete,
    ];
    // Execute would lead to nothing: it must not end by itself in such a machine.
    assert_eq!(LeftOut::of(&least).map(|out| out.has(Complete)), Ok(true));
    let machine = Machine { edges: Edges::BASE, left_out: LeftOut::of(&least).expect("may be left out") };
    assert_eq!(machine.command(Stopped, Command::Reset), Ok(Idle));
    assert_eq!(machine.command(Idle, Command::Start), Ok(Execute));
    assert_eq!(machine.command(Execute, Command::Stop), Ok(Stopped));
    assert_eq!(machine.command(Execute, Command::Abort), Ok(Aborting));
    assert_eq!(machine.command(Aborted, Command::Clear), Ok(Stopped));
    assert_eq!(machine.command(Execute, Command::Hold), Err(Refused { command: Command::Hold, state: Execute }));
    assert_eq!(machine.complete(Execute), None, "there is nothing after it");

    assert_eq!(LeftOut::of(&[Execute]), Err(LeftOutError::Kept(Execute)));
    assert_eq!(LeftOut::of(&[Held]), Err(LeftOutError::LeadsNowhere { from: Holding, to: Held }));
}

/// What is said of a mode beside a machine in it: no walk comes to a state that the mode leaves out.
#[test]
fn no_walk_comes_to_a_state_that_is_left_out() {
    use State::*;
    for states in [
        &[Holding, Held, Unholding][..],
        &[Suspending, Suspended, Unsuspending],
        &[Resetting, Starting],
        &[Completing, Complete],
    ] {
        let machine = Machine { edges: Edges::OPC_UA, left_out: LeftOut::of(states).expect("may be left out") };
        for state in State::ALL.into_iter().filter(|state| !machine.left_out.has(*state)) {
            let after = Command::ALL.into_iter().filter_map(|command| machine.command(state, command).ok());
            assert!(
                after.chain(machine.complete(state)).all(|state| !machine.left_out.has(state)),
                "from {state} without {states:?}"
            );
        }
    }
}

/// Walks of somebody else, if `ANDON_CASES` names a folder of cases.
#[test]
fn the_walks_of_others_go_the_same_way() {
    let Some(folder) = std::env::var_os("ANDON_CASES") else {
        return println!("skipped: ANDON_CASES names no folder of cases");
    };
    let text =
        std::fs::read_to_string(std::path::Path::new(&folder).join("spc-reference/packml.json")).expect("can be read");
    let file: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    let state = |value: &serde_json::Value| value.as_str().and_then(State::from_name).expect("is a state");
    let mut steps = 0;
    for step in file["walks"].as_array().expect("has walks").iter().flat_map(|walk| walk.as_array().expect("is a list"))
    {
        let (from, to) = (state(&step["from"]), state(&step["to"]));
        let next = match step["event"].as_str().expect("has an event") {
            "SC" => OPC_UA.complete(from),
            event => {
                let command = Command::ALL.into_iter().find(|command| command.name() == event.trim_start_matches("To"));
                OPC_UA.command(from, command.expect("is a command")).ok()
            }
        };
        assert_eq!((next.is_some(), next.unwrap_or(from)), (step["accepted"] == true, to), "{step}");
        steps += 1;
    }
    assert!(steps > 30);
    for (command, edges) in file["commands"].as_object().expect("has commands") {
        let command = Command::ALL
            .into_iter()
            .find(|known| known.name() == command.trim_start_matches("To"))
            .expect("is a command");
        let edges: Vec<_> = edges
            .as_object()
            .expect("has edges")
            .iter()
            .map(|(from, to)| (State::from_name(from).expect("a state"), state(to)))
            .collect();
        for from in State::ALL {
            let to = edges.iter().find(|(of, _)| *of == from).map(|(_, to)| *to);
            assert_eq!(OPC_UA.command(from, command).ok(), to, "{command} in {from}");
        }
    }
}
