//! What is a secret, and what stands in its place wherever a command, an environment or a
//! configuration is shown, stored or compared. There is no other rule and no other mask.

/// The argument that hands a key to the server in plain sight.
const API_KEY: &str = "--api-key";

/// Arguments whose value is a secret, as llama-server's help spells them, and the variable by which
/// a server takes it as well: everybody may read the arguments of a process, its environment only
/// its user.
const SECRET_FLAGS: [(&str, &str); 3] = [
    (API_KEY, "LLAMA_API_KEY"),
    ("--hf-token", "HF_TOKEN"),
    ("-hft", "HF_TOKEN"),
];

/// Parts of variable names that mark their value as a secret.
const SECRET_PARTS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];

/// Stands for a secret.
pub const MASK: &str = "***";

/// Returns the arguments as they may be shown.
#[must_use]
pub fn mask_args(args: &[String]) -> Vec<String> {
    replace_secrets(args, |_secret| MASK.to_owned())
}

/// Returns a variable's value as it may be shown.
#[must_use]
pub fn mask_variable(name: &str, value: &str) -> String {
    if is_secret_variable(name) {
        MASK.to_owned()
    } else {
        value.to_owned()
    }
}

/// Returns whether an argument hands a key to the server in plain sight.
#[must_use]
pub fn is_api_key(argument: &str) -> bool {
    let flag = argument.split_once('=').map_or(argument, |(flag, _)| flag);
    spelling(flag) == API_KEY
}

/// llama-server takes `--api_key` for `--api-key`.
fn spelling(flag: &str) -> String {
    match flag.starts_with("--") {
        true => flag.replace('_', "-"),
        false => flag.to_owned(),
    }
}

fn is_secret_flag(flag: &str) -> bool {
    variable_of(flag).is_some()
}

fn variable_of(flag: &str) -> Option<&'static str> {
    let flag = spelling(flag);
    let mut flags = SECRET_FLAGS.iter();
    flags
        .find(|(name, _)| *name == flag)
        .map(|(_, variable)| *variable)
}

/// Takes the secrets out of arguments, each with the variable that gives it to a server instead; of a
/// repeated one the last counts.
#[must_use]
pub fn split(args: &[String]) -> (Vec<String>, Vec<(&'static str, String)>) {
    let (mut public, mut secrets) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let Some(variable) = variable_of(flag) else {
            public.push(arg.clone());
            continue;
        };
        match value.or_else(|| rest.next().cloned()) {
            Some(value) => secrets.push((variable, value)),
            None => public.push(arg.clone()), // the server says what is missing
        }
    }
    (public, secrets)
}

/// Returns whether the value of a variable of this name must not be shown.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Returns the arguments with every secret replaced by what `stand_in` makes of it.
#[must_use]
pub fn replace_secrets(args: &[String], stand_in: impl Fn(&str) -> String) -> Vec<String> {
    let mut secret_follows = false;
    args.iter()
        .map(|argument| {
            if std::mem::take(&mut secret_follows) {
                return stand_in(argument);
            }
            secret_follows = is_secret_flag(argument);
            match argument.split_once('=') {
                Some((flag, secret)) if is_secret_flag(flag) => {
                    format!("{flag}={}", stand_in(secret))
                }
                Some(_) | None => argument.clone(),
            }
        })
        .collect()
}

/// Returns what tells two secrets apart without telling either: 32 bits of FNV-1a.
#[must_use]
pub fn stand_in(secret: &str) -> String {
    format!("{MASK}{:08x}", fingerprint(secret.as_bytes()) >> 32)
}

/// FNV-1a, which stays the same from version to version, unlike the standard library's hash.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_in_both_spellings() {
        let rows = [
            ("-c 8 --api-key s3cret -v", "-c 8 --api-key *** -v"),
            ("--api-key=s3cret", "--api-key=***"),
            ("--hf-token s3cret", "--hf-token ***"),
            ("-hft s3cret --jinja", "-hft *** --jinja"),
            (
                "--api_key s3cret --hf_token=s3cret",
                "--api_key *** --hf_token=***",
            ),
            ("--api-key-file key.txt", "--api-key-file key.txt"),
            ("--api-key", "--api-key"),
        ];
        for (args, expected) in rows {
            let args: Vec<_> = args.split(' ').map(str::to_owned).collect();
            assert_eq!(mask_args(&args).join(" "), expected);
        }
        assert_eq!(mask_variable("HF_TOKEN", "s3cret"), MASK);
        assert_eq!(mask_variable("CUDA_VISIBLE_DEVICES", "0"), "0");
    }
}
