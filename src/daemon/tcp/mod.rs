//! The API beside the socket, for those whom `[api]` in `orchestrator.toml` lets in.
//!
//! The [`Keeper`] makes of the settings what is open. It hears of each change of them, and looks
//! again now and then while something is in the way or a token may be replaced:
//!
//! | the settings | what happens |
//! |---|---|
//! | name another address | it is listened on, then the old one is closed; one that cannot be had changes nothing |
//! | name no address any more | the old one is closed |
//! | let others in (`token_file`, `require_token`) | from the next request on, at the same address |
//! | cannot be used | nothing: the last good ones are in force |
//!
//! Each is told as an event, what is in the way once, with the place in the file. The token itself
//! is read for every request, so a new one in its file needs nobody to notice it.

mod door;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use self::door::{Door, House};
use super::token::{Token, TokenError};
use crate::api::wire::TcpBody;
use crate::config::settings::{Access, ApiSettings};
use crate::domain::event::{EventType, Level};
use crate::process::ports;
use crate::supervisor::handle::Handle;

/// Between two looks at what may change without the settings: an address that is in use, a token.
const LOOK_SPACING: Duration = Duration::from_secs(5);

/// Keeps the API open as the settings say.
pub struct Keeper {
    house: House,
    handle: Handle,
    /// What `status` tells.
    told: watch::Sender<Option<TcpBody>>,
    settings: watch::Receiver<ApiSettings>,
    wanted: ApiSettings,
    door: Option<Door>,
    /// The token of the door, to notice another one.
    token: Option<Token>,
    problem: Option<Problem>,
}

/// Why it is not as wanted.
struct Problem {
    /// By which it is known when it is met again.
    found: String,
    told: String,
}

/// Why something is not as the settings say.
#[derive(Debug, thiserror::Error)]
enum TcpError {
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Whether an address was just asked for, or is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    First,
    Again,
}

impl Keeper {
    /// Opens what the settings say now; what is in the way is told and tried again.
    pub async fn start(
        handle: Handle,
        router: Router,
        told: watch::Sender<Option<TcpBody>>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        let mut settings = handle.api_settings();
        let wanted = settings.borrow_and_update().clone();
        let mut keeper = Self {
            house: House {
                router,
                tasks,
                closing,
            },
            handle,
            told,
            settings,
            wanted,
            door: None,
            token: None,
            problem: None,
        };
        match keeper.follow_wanted(Try::First).await {
            // That it listens as it should is no event.
            Ok(Some(news)) => info!("{news}"),
            Ok(None) => {}
            Err(error) => keeper.complain(&error).await,
        }
        keeper.tell();
        keeper
    }

    /// Follows the settings until nothing more is answered.
    pub async fn run(mut self) {
        let closing = self.house.closing.clone();
        loop {
            let looks = self.may_change_by_itself();
            let attempt = tokio::select! {
                () = closing.cancelled() => return,
                changed = self.settings.changed() => match changed {
                    Ok(()) => Try::First,
                    Err(_) => return, // the supervisor has ended
                },
                () = tokio::time::sleep(LOOK_SPACING), if looks => Try::Again,
            };
            self.wanted = self.settings.borrow_and_update().clone();
            match self.follow_wanted(attempt).await {
                Ok(news) => {
                    let problem = self.problem.take();
                    let repaired = problem.map(|_| "the API is as [api] says again".to_owned());
                    if let Some(news) = news.or(repaired) {
                        let (level, kind) = (Level::Info, EventType::ConfigChanged);
                        self.handle.announce(level, kind, news).await;
                    }
                }
                Err(error) => self.complain(&error).await,
            }
            self.tell();
        }
    }

    fn may_change_by_itself(&self) -> bool {
        let has_token = |door: &Door| matches!(door.access, Access::Token { .. });
        self.problem.is_some() || self.door.as_ref().is_some_and(has_token)
    }

    /// Makes what is open what is wanted, or leaves it as it is. Returns what became different.
    async fn follow_wanted(&mut self, attempt: Try) -> Result<Option<String>, TcpError> {
        let Some(address) = self.wanted.listen else {
            let Some(door) = self.door.take() else {
                return Ok(None);
            };
            let news = format!("the API no longer listens at {}", door.url());
            door.close().await;
            return Ok(Some(news));
        };
        let access = self.wanted.access.clone();
        let token = match &access {
            Access::Token { file } => Some(Token::load(file)?),
            Access::Anybody => None,
        };
        let replaced = token != self.token;
        if let Some(door) = self.door.as_mut().filter(|door| door.is_at(address)) {
            self.token = token;
            if door.access != access {
                let news = format!("the API at {} is now for {}", door.url(), for_whom(&access));
                door.admit_by(access);
                return Ok(Some(news));
            }
            let news = "the API's token was replaced: only the new one is taken from now on";
            return Ok(replaced.then(|| news.to_owned()));
        }
        let failed = |source| TcpError::Listen { address, source };
        let listener = self.listen(address, attempt).await.map_err(failed)?;
        let door = Door::open(address, listener, access, &self.house).map_err(failed)?;
        self.token = token;
        let (url, whom) = (door.url(), for_whom(&door.access));
        let news = match self.door.replace(door) {
            None => format!("the API listens at {url}, for {whom}"),
            Some(before) => {
                let was = before.url();
                before.close().await;
                format!("the API listens at {url}, for {whom}, and no longer at {was}")
            }
        };
        Ok(Some(news))
    }

    /// Listens on an address, beside the present one where both can be.
    async fn listen(&mut self, address: SocketAddr, attempt: Try) -> io::Result<TcpListener> {
        let refused = match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
            listener => return listener,
        };
        // Whoever else holds it would make us close the present door again and again.
        let in_the_way = |door: &mut Door| attempt == Try::First && door.overlaps(address);
        let Some(door) = self.door.take_if(in_the_way) else {
            return Err(refused);
        };
        let (before, access) = (door.address, door.access.clone());
        door.close().await;
        let listener = TcpListener::bind(address).await;
        if listener.is_err() {
            let again = TcpListener::bind(before).await;
            let door = again.and_then(|again| Door::open(before, again, access, &self.house));
            self.door = door
                .inspect_err(|error| warn!(%error, address = %before, "listen there again"))
                .ok();
        }
        listener
    }

    /// Tells what is in the way, once.
    async fn complain(&mut self, error: &TcpError) {
        let places = &self.wanted.places;
        let (place, field) = match error {
            TcpError::Listen { .. } => (&places.listen, "api.listen"),
            TcpError::Token(_) => (&places.token_file, "api.token_file"),
        };
        let found = format!("{place}: {field}: {error}");
        let known = self.problem.as_ref();
        if known.is_some_and(|known| known.found == found) {
            return;
        }
        let told = format!("{found}{}", held_by(error).await);
        let then = match &self.door {
            None => "the API answers on the socket only".to_owned(),
            Some(door)
                if door.access == self.wanted.access && matches!(error, TcpError::Token(_)) =>
            {
                format!("nobody is let in at {}", door.url())
            }
            Some(door) => format!(
                "the API goes on at {}, for {}",
                door.url(),
                for_whom(&door.access)
            ),
        };
        let message = format!("{told}; until that is changed {then}");
        let (level, kind) = (Level::Error, EventType::ConfigBroken);
        self.handle.announce(level, kind, message).await;
        self.problem = Some(Problem { found, told });
    }

    fn tell(&self) {
        let token_file = |access: &Access| match access {
            Access::Token { file } => Some(file.display().to_string()),
            Access::Anybody => None,
        };
        let access = self
            .door
            .as_ref()
            .map_or(&self.wanted.access, |door| &door.access);
        let body = TcpBody {
            url: self.door.as_ref().map(Door::url),
            token_file: token_file(access),
            problem: self.problem.as_ref().map(|problem| problem.told.clone()),
        };
        let nothing = body.url.is_none() && body.problem.is_none();
        self.told.send_replace((!nothing).then_some(body));
    }
}

/// Says who has the address, as far as we may see it.
async fn held_by(error: &TcpError) -> String {
    let port = match error {
        TcpError::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            address.port()
        }
        TcpError::Listen { .. } | TcpError::Token(_) => return String::new(),
    };
    let looking = tokio::task::spawn_blocking(move || ports::holder_of(port));
    let holder = looking.await.ok().flatten();
    holder.map_or_else(String::new, |holder| format!(", by {holder}"))
}

fn for_whom(access: &Access) -> String {
    match access {
        Access::Token { file } => format!("the token in {}", file.display()),
        Access::Anybody => "everybody on this machine".to_owned(),
    }
}
