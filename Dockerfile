# The GPU environment. Built and started by env_shell/start_experiment_container.sh, which passes the host user's ids.
# The project is mounted at /workspace, not copied: code, data and results stay on the host.
# A tag, not a digest: no digest is written here that nobody looked up. Pin yours by --build-arg BASE=nvidia/cuda@sha256:…
ARG BASE=nvidia/cuda:13.0.0-devel-ubuntu24.04
FROM ${BASE}

ARG USER_ID=1000
ARG GROUP_ID=1000
ENV DEBIAN_FRONTEND=noninteractive \
    PATH=/opt/kitrec/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DVC_NO_ANALYTICS=1 \
    VLLM_NO_USAGE_STATS=1

# Ubuntu 24.04 carries Python 3.12; the project is tested on 3.11. Versions of build tools are the archive's of the day.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends software-properties-common \
 && add-apt-repository -y ppa:deadsnakes/ppa \
 && apt-get install -y --no-install-recommends build-essential git make python3.11 python3.11-dev python3.11-venv \
 && rm -rf /var/lib/apt/lists/*

COPY requirements-common.txt requirements-gpu.txt /tmp/requirements/
RUN python3.11 -m venv /opt/kitrec \
 && /opt/kitrec/bin/pip install --no-cache-dir -r /tmp/requirements/requirements-gpu.txt \
 && printf '#!/bin/sh\nexec python -m kitrec.cli.main "$@"\n' > /opt/kitrec/bin/kitrec \
 && chmod 755 /opt/kitrec/bin/kitrec

# A user with the host's ids, so that what is written under /workspace belongs to its owner. Ubuntu's own user 1000 goes.
RUN if [ "${USER_ID}" != 0 ]; then \
      (userdel --remove ubuntu || true) \
      && (getent group "${GROUP_ID}" || groupadd --gid "${GROUP_ID}" kitrec) \
      && useradd --uid "${USER_ID}" --gid "${GROUP_ID}" --create-home kitrec; \
    fi
USER ${USER_ID}:${GROUP_ID}
WORKDIR /workspace
ENV PYTHONPATH=/workspace HF_HOME=/cache/huggingface
CMD ["bash"]
