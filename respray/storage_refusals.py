"""What to change when an S3 store refuses: its codes are for programs, and a wrong clock looks like a wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

# A signature is good for 15 minutes (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed).
SKEW = timedelta(minutes=5)
# R2 calls it ExpiredRequest: https://developers.cloudflare.com/r2/api/error-codes/.
CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "ExpiredRequest"}
_REGION = {"AuthorizationHeaderMalformed", "InvalidRegionName", "IllegalLocationConstraintException", "PermanentRedirect", "301"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized", "401"}
_PLAN = {"NotEntitled", "NotSignedUp", "AccountProblem"}
_LOCKED = {"ObjectLockedByBucketPolicy"}
_ARCHIVED = {"InvalidObjectState"}
# Of an object or its name, and so the same tomorrow (MinIO's have an X). Other answers of status 400 may pass: RequestTimeout, ExpiredToken
# (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
_OBJECT = {"InvalidRequest", "InvalidStorageClass", "EntityTooLarge", "MethodNotAllowed", "KeyTooLongError", "InvalidURI"}
_OBJECT |= {"XMinioInvalidObjectName", "XMinioParentIsObject"}


def remedy(response: Mapping[str, Any], keys: str, region: str | None) -> str | None:
    """What to change, as a clause for the end of a sentence; None where the refusal says nothing of that.

    Args:
        response: of botocore's ClientError.
        keys: the settings of the keys.
        region: the setting of the region; None where there is none, and the endpoint decides.
    """
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    off = clock_off(response)
    if off is not None or code in CLOCK:
        by = f" by {off.total_seconds() / 60:.0f} minutes" if off is not None else ""
        return f"this machine's clock is off{by}: set it (timedatectl set-ntp true; of a container, the host's)"
    if code in _REGION:
        right = str(error.get("Region") or "")
        if region is None:
            return f"name the endpoint of the bucket's region{f' {right}' if right else ''}: {message[:120]}"
        return f"set {region}={right}" if right else f"set {region} to the bucket's region (auto for R2): {message[:120]}"
    if code in _KEYS or "access key" in message.lower():  # R2 says InvalidArgument to keys of another length
        return f"correct {keys}{f' ({message[:120]})' if code not in _KEYS else ''}"
    if code in _PLAN:
        return f"the account has no plan with this store: {message[:120]}"
    if code in _LOCKED:
        return f"a retention rule of the bucket keeps this object as it is; results need a prefix without one: {message[:120]}"
    if code in _ARCHIVED:
        return "the object is archived (Glacier or the like): restore it, or keep it in a class that is read at once"
    if "Quota" in code or "StorageFull" in code:
        return f"the store is full, or a quota is used up: {message[:120]}"
    return None


def is_final(status: int | None, code: str) -> bool:
    """Whether a store refuses for good: keys, rights, and what is wrong with one object. A wrong clock is one machine's alone.

    Args:
        status: of the answer.
        code: of the error; stores add codes (https://developers.cloudflare.com/r2/api/error-codes/).
    """
    if code in CLOCK:
        return False
    return status in (401, 403) or (status in (400, 405, 413) and (code in _OBJECT or code.startswith("KMS.")))


def clock_off(response: Mapping[str, Any]) -> timedelta | None:
    """How far this machine's clock is from the store's, by the answer's Date; None where they agree, or nothing is known."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        off = datetime.now(UTC) - parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return off if abs(off) > SKEW else None
