# One image for every part: the command says which. Versions are those of the tests.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY leadgate leadgate
COPY gateway gateway
COPY consumers consumers
COPY evidence evidence
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
WORKDIR /app
COPY constraints.txt ./
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir -c constraints.txt "$(echo /wheels/*.whl)[all]"
COPY examples examples
RUN useradd --system leadgate && install -d -o leadgate /data
USER leadgate
VOLUME /data
EXPOSE 50051 8080
CMD ["python", "-m", "gateway"]
