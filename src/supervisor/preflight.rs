//! What is looked at before a process exists: whether the server could end of it at once.
//!
//! Only what is sure is refused. What cannot be told here, the server says itself, and its autopsy
//! tells it then.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::claims::{Claim, Claims};
use super::decision::PortTable;
use super::fit;
use super::launch::{LaunchFailed, Launcher, chain, refused};
use crate::config::home::Home;
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::device::DEVICE_FLAGS;
use crate::domain::instance::{Binary, InstanceName, InstanceSpec, Port};
use crate::domain::lifecycle::Failure;
use crate::probes::binary::Build;
use crate::probes::builds::Builds;
use crate::probes::devices::{self, Asking, DeviceList};
use crate::probes::gguf::{self, HeaderError};
use crate::process::argv::{self, FitFlag};
use crate::process::ports::{self, PortError};
use crate::process::program::{self, Program, ProgramError};

/// How every GGUF file begins.
const MAGIC: &[u8] = b"GGUF";

/// Arguments that name the model file.
const MODEL_FLAGS: [&str; 2] = ["-m", "--model"];

/// Everything is in place: this can be started.
pub(super) struct Ready {
    pub(super) program: PathBuf,
    pub(super) claim: Option<Claim>,
    pub(super) args: Vec<String>,
    /// The build's own version, if it tells one.
    pub(super) version: Option<String>,
}

/// Looks at the program, the model, the port, the flags and the devices. Blocking; asks a build that
/// was never seen before for its help.
///
/// # Errors
///
/// Returns what the server would end of, as a person would say it.
pub(super) fn check(
    launcher: &Launcher,
    spec: &InstanceSpec,
    taken: &PortTable,
) -> Result<Ready, LaunchFailed> {
    let Launcher { home, builds, .. } = launcher;
    let (program, build) = built(home, builds, spec)?;
    if let Some(message) = fit::refusal(home, spec) {
        let remedy = "a smaller context, fewer layers or memory.refuse = false let it start";
        return Err(refused(Cause::OutOfMemory, message, remedy));
    }
    let claim = port(spec, taken, &launcher.claims)?;
    let port = claim.as_ref().map(Claim::port);
    let (build, own) = accepted(home, builds, spec, port, &program, build)?;
    let mut args = program.prefix;
    args.extend(own);
    Ok(Ready {
        program: program.path,
        claim,
        args,
        version: build.version.clone(),
    })
}

/// Returns why a new run of this instance could surely not start, whoever has its port and its
/// memory now. Blocking.
#[must_use]
pub fn obstacle(home: &Home, spec: &InstanceSpec) -> Option<String> {
    let builds = Builds::new(home.state_dir());
    let looked = built(home, &builds, spec).and_then(|(program, build)| {
        accepted(home, &builds, spec, None, &program, build).map(|_| ())
    });
    let failed = looked.err().map(|failed| failed.message);
    failed.or_else(|| cut_short(home, spec))
}

/// A start leaves this to the server: the header of a large model takes some milliseconds to read.
fn cut_short(home: &Home, spec: &InstanceSpec) -> Option<String> {
    if matches!(spec.binary, Binary::Simulated) {
        return None;
    }
    let error = gguf::read(&model_file(home.root(), spec)?).err()?;
    error.error.is_truncated().then(|| error.to_string())
}

/// The program can be run, and its model is one. The simulated server reads none.
fn built(
    home: &Home,
    builds: &Builds,
    spec: &InstanceSpec,
) -> Result<(Program, Arc<Build>), LaunchFailed> {
    let program = program::resolve(&spec.binary).map_err(|error| no_program(&error))?;
    let build = ask(builds, &program, Asking::Once)?;
    if !matches!(spec.binary, Binary::Simulated) {
        model(home.root(), spec)?;
    }
    Ok((program, build))
}

/// The build takes the arguments; they are returned with what it is. The simulated server's devices
/// are named in its arguments.
fn accepted(
    home: &Home,
    builds: &Builds,
    spec: &InstanceSpec,
    port: Option<u16>,
    program: &Program,
    build: Arc<Build>,
) -> Result<(Arc<Build>, Vec<String>), LaunchFailed> {
    let fit = if build.knows("-fit") {
        FitFlag::Known
    } else {
        FitFlag::Unknown
    };
    let own = argv::arguments(spec, port, fit);
    let build = flags(builds, program, build, &own)?;
    if !matches!(spec.binary, Binary::Simulated) {
        devices(&home.state_dir(), program, &own)?;
    }
    Ok((build, own))
}

fn ask(builds: &Builds, program: &Program, asking: Asking) -> Result<Arc<Build>, LaunchFailed> {
    let answer = builds.of(&program.path, &program.prefix, asking);
    answer.map_err(|error| {
        let remedy = "use a build for this machine; ldd shows missing libraries";
        LaunchFailed {
            failure: Failure::ExecutableNotFound,
            ..refused(Cause::LibraryMissing, error.to_string(), remedy)
        }
    })
}

fn port_held(message: String) -> LaunchFailed {
    let remedy = "stop what listens there, or choose another server.port";
    let held = refused(Cause::PortInUse, message, remedy);
    LaunchFailed {
        failure: Failure::PortInUse,
        autopsy: held.autopsy.map(|autopsy| Autopsy {
            class: RetryClass::AfterPortFrees,
            ..autopsy
        }),
        ..held
    }
}

/// Why a server could not listen where its file says.
fn cannot_listen(error: &PortError) -> LaunchFailed {
    let message = chain(error);
    match error {
        PortError::Taken { .. } | PortError::SocketTaken { .. } => port_held(message),
        PortError::NoneFree => LaunchFailed {
            failure: Failure::Resources,
            message,
            autopsy: None,
        },
        // An automatic start tries again: after a boot, addresses come late.
        PortError::Refused { .. } => LaunchFailed {
            failure: Failure::AddressUnusable,
            ..refused(
                Cause::InvalidArgument,
                message,
                "set server.host to an address of this machine, such as 127.0.0.1",
            )
        },
    }
}

/// There is nothing to run where the file says.
fn no_program(error: &ProgramError) -> LaunchFailed {
    let remedy = match error {
        ProgramError::NotInPath { .. } | ProgramError::Missing { .. } => {
            "install llama.cpp, or set binary.path to its llama-server"
        }
        ProgramError::NotExecutable { path, .. } if path.is_dir() => {
            "set binary.path to the llama-server in it"
        }
        ProgramError::NotExecutable { .. } => {
            "chmod +x makes it executable; or set binary.path to another llama-server"
        }
        ProgramError::Own(_) => "reinstall llama-orch",
    };
    LaunchFailed {
        failure: Failure::ExecutableNotFound,
        ..refused(Cause::ProgramMissing, chain(error), remedy)
    }
}

/// The model is there and begins as a GGUF file does.
fn model(home: &Path, spec: &InstanceSpec) -> Result<(), LaunchFailed> {
    let Some(path) = model_file(home, spec) else {
        return Ok(());
    };
    let shown = path.display();
    match magic(&path) {
        Ok(found) if found == MAGIC => Ok(()),
        Ok(found) if found.len() < MAGIC.len() => Err(refused(
            Cause::ModelDamaged,
            format!("the model file {shown} is empty"),
            "fetch it again",
        )),
        Ok(_) => Err(refused(
            Cause::ModelDamaged,
            format!("the model file {shown} is no GGUF file"),
            "llama-server reads models in the GGUF format only",
        )),
        Err(HeaderError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Err(refused(
            Cause::ModelMissing,
            format!("the model file is missing: {shown}"),
            "check model.path; relative paths begin at the home",
        )),
        Err(error) => Err(refused(
            Cause::ModelMissing,
            format!("the model file {shown} {error}"),
            "check model.path and the file's permissions",
        )),
    }
}

/// Returns the file that the server will load: the arguments come last, and the last value wins.
fn model_file(home: &Path, spec: &InstanceSpec) -> Option<PathBuf> {
    let named = value_of(&spec.args, &MODEL_FLAGS).map(|path| home.join(path));
    named.or_else(|| spec.model.path.clone())
}

fn magic(path: &Path) -> Result<Vec<u8>, HeaderError> {
    let mut found = Vec::new();
    gguf::open(path)?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut found)?;
    Ok(found)
}

/// The build takes every flag. What is remembered of it may be old when its libraries were replaced
/// beside it, so it is asked again before anything is refused.
fn flags(
    builds: &Builds,
    program: &Program,
    build: Arc<Build>,
    args: &[String],
) -> Result<Arc<Build>, LaunchFailed> {
    let refuses = |build: &Build| build.flags.as_ref()?.check(args).err();
    if refuses(&build).is_none() {
        return Ok(build);
    }
    let build = ask(builds, program, Asking::Anew)?;
    let Some(error) = refuses(&build) else {
        return Ok(build);
    };
    let version = build
        .version
        .as_ref()
        .map_or_else(String::new, |version| format!(" (version {version})"));
    let message = format!("{error}{version}");
    let remedy = format!(
        "correct args; {} --help lists the flags it knows",
        program.path.display()
    );
    Err(refused(Cause::UnknownFlag, message, &remedy))
}

/// The build knows every device that the arguments name.
fn devices(state_dir: &Path, program: &Program, args: &[String]) -> Result<(), LaunchFailed> {
    let Some(wanted) = value_of(args, &DEVICE_FLAGS) else {
        return Ok(());
    };
    let listed = |asking| devices::listed(state_dir, &program.path, &program.prefix, asking);
    let unknown = |list: &DeviceList| {
        let is_known = |name: &&str| list.devices.iter().any(|device| device.name == **name);
        let mut names = wanted.split(',').filter(|name| *name != "none");
        names.find(|name| !is_known(name)).map(str::to_owned)
    };
    if listed(Asking::Once).as_ref().and_then(unknown).is_none() {
        return Ok(());
    }
    // A card may have come since the build was asked.
    let Some(list) = listed(Asking::Anew) else {
        return Ok(());
    };
    let Some(stranger) = unknown(&list) else {
        return Ok(());
    };
    let names: Vec<&str> = list
        .devices
        .iter()
        .map(|device| device.name.as_str())
        .collect();
    let there = if names.is_empty() {
        "it lists none".to_owned()
    } else {
        format!("it lists {}", names.join(", "))
    };
    Err(refused(
        Cause::InvalidDevice,
        format!("this build has no device {stranger}: {there}"),
        "correct --device in args, or use a build for that kind of device",
    ))
}

/// Returns the last value that is given by one of these flags.
fn value_of<'a>(args: &'a [String], flags: &[&str]) -> Option<&'a str> {
    let mut found = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.split_once('=') {
            Some((flag, value)) if flags.contains(&flag) => found = Some(value),
            None if flags.contains(&arg.as_str()) => found = rest.next().map(String::as_str),
            Some(_) | None => {}
        }
    }
    found
}

fn port(
    spec: &InstanceSpec,
    taken: &PortTable,
    claims: &Claims,
) -> Result<Option<Claim>, LaunchFailed> {
    let host = &spec.server.host;
    let is_socket = host.ends_with(".sock");
    match spec.server.port {
        Port::Fixed(port) if !is_socket => {
            let used = |other: &InstanceName| {
                port_held(format!("port {port} is used by instance {other}"))
            };
            if let Some(other) = taken.used.get(&port).filter(|other| **other != spec.name) {
                return Err(used(other));
            }
            let claim = claims
                .claim(port, &spec.name)
                .map_err(|other| used(&other))?;
            ports::check_free(host, port).map_err(|error| cannot_listen(&error))?;
            Ok(Some(claim))
        }
        Port::Auto if !is_socket => {
            let claim = |port: u16| {
                if taken.used.contains_key(&port) || taken.reserved.contains_key(&port) {
                    return None;
                }
                claims.claim(port, &spec.name).ok()
            };
            let claim = ports::choose_free(host, claim).map_err(|error| cannot_listen(&error))?;
            Ok(Some(claim))
        }
        Port::Fixed(_) | Port::Auto => {
            ports::check_free(host, 0).map_err(|error| cannot_listen(&error))?;
            remove_stale_socket(Path::new(host));
            Ok(None)
        }
    }
}

/// llama-server leaves its socket file behind and then cannot bind it again.
fn remove_stale_socket(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        fs::remove_file(path).ok(); // then the server says that it cannot bind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::tests::spec;
    use std::collections::BTreeSet;

    fn given(name: &str, port: Port, claims: &Claims) -> Result<Claim, LaunchFailed> {
        let mut spec = spec(name);
        spec.server.port = port;
        let claim = super::port(&spec, &PortTable::default(), claims)?;
        Ok(claim.expect("it listens on a port"))
    }

    #[test]
    fn starts_under_way_at_once_never_get_the_same_port() {
        let claims = Claims::default();
        let given = |name: &str, port: Port| given(name, port, &claims);
        // None of their servers listens yet. By chance alone two of so many would meet.
        let names = (0..400).map(|number| format!("i{number}"));
        let all: Vec<Claim> = names
            .map(|name| given(&name, Port::Auto).expect("one is free"))
            .collect();
        let ports: BTreeSet<u16> = all.iter().map(Claim::port).collect();
        assert_eq!(ports.len(), all.len());
        let fixed = Port::Fixed(all[7].port());
        let failed = given("late", fixed).expect_err("it is given away");
        assert_eq!(failed.failure, Failure::PortInUse);
        let expected = format!("port {} is used by instance i7", all[7].port());
        assert_eq!(failed.message, expected);
    }
}
