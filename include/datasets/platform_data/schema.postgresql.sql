-- Reference tables of a video platform, PostgreSQL: one for each entity of catalogue.yaml.
--
-- Most timestamps carry a zone. Those of tables that came from Oracle do not: they are UTC (VI-C13).
-- Columns that the document spells in upper case are spelt so here. There are no foreign keys, so that tables
-- load in any order.

CREATE TABLE asset_categories (
    id integer NOT NULL,
    name varchar(100) NOT NULL,
    description text,
    PRIMARY KEY (id)
);

CREATE TABLE asset_types (
    id integer NOT NULL,
    name varchar(200) NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE assets_items (
    id bigint NOT NULL,
    asset_id bigint NOT NULL,
    item_type varchar(30) NOT NULL,
    title text,
    position integer NOT NULL,
    offset_seconds double precision,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE assets_metadata (
    asset_id bigint NOT NULL,
    name varchar(100) NOT NULL,
    language varchar(10) NOT NULL,
    value text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (asset_id, name, language)
);

CREATE TABLE assets_platforms (
    asset_id bigint NOT NULL,
    platform_id integer NOT NULL,
    published boolean NOT NULL,
    live_published boolean NOT NULL,
    publish_start timestamptz,
    publish_end timestamptz,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (asset_id, platform_id)
);

CREATE TABLE assets_relations (
    asset_id bigint NOT NULL,
    related_asset_id bigint NOT NULL,
    relation_type varchar(30) NOT NULL,
    weight double precision,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (asset_id, related_asset_id, relation_type)
);

CREATE TABLE assets_views (
    id bigint NOT NULL,
    asset_id bigint NOT NULL,
    category_id integer,
    user_id bigint NOT NULL,
    platform varchar(30),
    ip varchar(45),
    geo_country varchar(2),
    geo_isp varchar(200),
    session_id uuid NOT NULL,
    seconds_watched integer,
    registered timestamp NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE assets (
    id bigint NOT NULL,
    asset_type_id integer NOT NULL,
    asset_category_id integer,
    title text,
    description text,
    duration_seconds double precision,
    production_year integer,
    rating numeric(12,4),
    live boolean NOT NULL,
    downloadable boolean NOT NULL,
    license_start timestamptz,
    license_end timestamptz,
    expire timestamptz,
    properties jsonb,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE audits (
    id bigint NOT NULL,
    actor_id bigint,
    action varchar(30) NOT NULL,
    entity varchar(60) NOT NULL,
    entity_id varchar(60) NOT NULL,
    details jsonb,
    created timestamptz NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE categories_metadata (
    category_id integer NOT NULL,
    name varchar(100) NOT NULL,
    language varchar(10) NOT NULL,
    value text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (category_id, name, language)
);

CREATE TABLE categories_platforms (
    category_id integer NOT NULL,
    platform_id integer NOT NULL,
    published boolean NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (category_id, platform_id)
);

CREATE TABLE categories (
    id integer NOT NULL,
    parent_id integer,
    level_type varchar(30) NOT NULL,
    asset_type_id integer,
    title text,
    description text,
    sort_order integer NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE churn_predict (
    user_id bigint NOT NULL,
    predicted_on date NOT NULL,
    score numeric NOT NULL,
    risk_class varchar(20) NOT NULL,
    PRIMARY KEY (user_id)
);

CREATE TABLE churn_training (
    user_id bigint NOT NULL,
    days_subscribed integer NOT NULL,
    logins integer NOT NULL,
    days_since_activity integer,
    price_per_day double precision,
    churned boolean NOT NULL,
    PRIMARY KEY (user_id)
);

CREATE TABLE payment_providers (
    id integer NOT NULL,
    name varchar(100) NOT NULL,
    merchant_id varchar(100),
    merchant_secret varchar(200),
    active boolean NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_status_log (
    id bigint NOT NULL,
    payment_transaction_id bigint NOT NULL,
    status varchar(30) NOT NULL,
    message text,
    logged timestamptz NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transaction_cuts (
    id integer NOT NULL,
    product_provider_id integer NOT NULL,
    payment_type_id integer NOT NULL,
    cut numeric(12,4) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transaction_types (
    id integer NOT NULL,
    name varchar(60) NOT NULL,
    sign integer NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transactions (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    user_access_id bigint NOT NULL,
    payment_provider_id integer NOT NULL,
    payment_type_id integer NOT NULL,
    payment_transaction_type_id integer NOT NULL,
    amount numeric(12,4) NOT NULL,
    vat numeric(12,4),
    currency varchar(3) NOT NULL,
    receipt uuid NOT NULL,
    card_token varchar(100),
    registered timestamp NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_types (
    id integer NOT NULL,
    name varchar(60) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE platforms (
    id integer NOT NULL,
    name varchar(30) NOT NULL,
    title varchar(100),
    active boolean NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE product_group_access (
    product_group_id integer NOT NULL,
    category_id integer NOT NULL,
    PRIMARY KEY (product_group_id, category_id)
);

CREATE TABLE product_groups (
    id integer NOT NULL,
    name varchar(200) NOT NULL,
    description text,
    active boolean NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE product_periods (
    id integer NOT NULL,
    product_id integer NOT NULL,
    price numeric(12,4) NOT NULL,
    currency varchar(3) NOT NULL,
    months integer NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE product_providers (
    id integer NOT NULL,
    name varchar(100) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE products (
    id integer NOT NULL,
    product_group_id integer NOT NULL,
    product_provider_id integer NOT NULL,
    name text,
    description text,
    active boolean NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE publishers (
    id integer NOT NULL,
    name varchar(200) NOT NULL,
    country varchar(2),
    PRIMARY KEY (id)
);

CREATE TABLE subtitles (
    id bigint NOT NULL,
    asset_id bigint NOT NULL,
    language varchar(10) NOT NULL,
    file_name varchar(200) NOT NULL,
    forced boolean NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE tags (
    id integer NOT NULL,
    name varchar(100) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE tenants (
    id integer NOT NULL,
    name varchar(100) NOT NULL,
    environment varchar(30) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_access_comments (
    id bigint NOT NULL,
    user_access_id bigint NOT NULL,
    author varchar(100),
    comment text,
    created timestamp NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_access_crm (
    user_access_id bigint NOT NULL,
    crm_reference varchar(60),
    crm_status varchar(30),
    payload jsonb,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (user_access_id)
);

CREATE TABLE user_access (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    product_id integer NOT NULL,
    "STATUS_ID" integer NOT NULL,
    "STARTDATE" timestamp NOT NULL,
    "ENDDATE" timestamp,
    "AUTORENEW_STATUS" integer NOT NULL,
    user_stop_date timestamp,
    last_activity_date timestamp,
    registered timestamp NOT NULL,
    updated timestamp,
    PRIMARY KEY (id)
);

CREATE TABLE users_login_logout (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    event varchar(10) NOT NULL,
    ip varchar(45),
    platform varchar(30),
    session_token varchar(100),
    log_time timestamp NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_metadata (
    user_id bigint NOT NULL,
    name varchar(100) NOT NULL,
    value text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (user_id, name)
);

CREATE TABLE users_payment_methods (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    payment_provider_id integer NOT NULL,
    payment_type_id integer NOT NULL,
    masked_number varchar(30),
    expires date,
    card_token varchar(100),
    active boolean NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE users_profiles (
    subprofileid bigint NOT NULL,
    user_id bigint NOT NULL,
    name text,
    gender varchar(20),
    birth_year integer,
    pin_hash varchar(100),
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (subprofileid)
);

CREATE TABLE users (
    id bigint NOT NULL,
    username varchar(200) NOT NULL,
    email varchar(200),
    first_name text,
    last_name text,
    date_of_birth date,
    country varchar(2),
    status varchar(20) NOT NULL,
    password_hash varchar(200),
    activation_token varchar(100),
    registration_date timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE video_files_deleted (
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    server_id integer NOT NULL,
    path text,
    deleted timestamp NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE video_files_published (
    file_id bigint NOT NULL,
    server_id integer NOT NULL,
    path text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (file_id, server_id)
);

CREATE TABLE video_files (
    id bigint NOT NULL,
    asset_id bigint NOT NULL,
    format varchar(20) NOT NULL,
    bitrate integer,
    width integer,
    height integer,
    duration_seconds double precision,
    size_bytes bigint,
    checksum varchar(64),
    content_key varchar(64),
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vouchers (
    id bigint NOT NULL,
    code varchar(40) NOT NULL,
    product_id integer NOT NULL,
    user_id bigint,
    valid_from date,
    valid_to date,
    created timestamp NOT NULL,
    updated timestamp,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_contracts (
    id integer NOT NULL,
    provider_id integer NOT NULL,
    title text,
    signed_on date,
    amount numeric(12,4),
    currency varchar(3),
    terms jsonb,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_episodes (
    id integer NOT NULL,
    season_id integer NOT NULL,
    asset_id bigint,
    episode_number integer NOT NULL,
    title text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_licenses (
    id integer NOT NULL,
    contract_id integer NOT NULL,
    title_type varchar(20) NOT NULL,
    title_id integer NOT NULL,
    territories text,
    license_start date,
    license_end date,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_movies (
    id integer NOT NULL,
    asset_id bigint,
    title text,
    runtime_minutes integer,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_permissions (
    id integer NOT NULL,
    license_id integer NOT NULL,
    platform_id integer NOT NULL,
    allowed boolean NOT NULL,
    max_views integer,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_providers (
    id integer NOT NULL,
    name text,
    contact_email varchar(200),
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_seasons (
    id integer NOT NULL,
    show_id integer NOT NULL,
    season_number integer NOT NULL,
    title text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_shows (
    id integer NOT NULL,
    category_id integer,
    title text,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_campaign_products (
    campaign_id integer NOT NULL,
    product_id integer NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (campaign_id, product_id)
);

CREATE TABLE vvs_campaigns (
    id integer NOT NULL,
    name text,
    starts timestamptz,
    ends timestamptz,
    discount_id integer,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_discounts (
    id integer NOT NULL,
    name text,
    percentage numeric(12,4),
    amount numeric(12,4),
    currency varchar(3),
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_pools (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    name text,
    size integer NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_products (
    id integer NOT NULL,
    product_id integer NOT NULL,
    external_reference varchar(60),
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_voucher_redemptions (
    id bigint NOT NULL,
    voucher_id uuid NOT NULL,
    user_id bigint NOT NULL,
    user_access_id bigint,
    redeemed timestamptz NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_vouchers (
    id uuid NOT NULL,
    pool_id integer NOT NULL,
    code varchar(40) NOT NULL,
    max_redemptions integer NOT NULL,
    expires timestamptz,
    created timestamptz NOT NULL,
    updated timestamptz,
    PRIMARY KEY (id)
);

-- A delta reads by these.
CREATE INDEX assets_items_created ON assets_items (created);
CREATE INDEX assets_items_updated ON assets_items (updated);
CREATE INDEX assets_metadata_created ON assets_metadata (created);
CREATE INDEX assets_metadata_updated ON assets_metadata (updated);
CREATE INDEX assets_platforms_created ON assets_platforms (created);
CREATE INDEX assets_platforms_updated ON assets_platforms (updated);
CREATE INDEX assets_relations_created ON assets_relations (created);
CREATE INDEX assets_relations_updated ON assets_relations (updated);
CREATE INDEX assets_views_registered ON assets_views (registered);
CREATE INDEX assets_created ON assets (created);
CREATE INDEX assets_updated ON assets (updated);
CREATE INDEX audits_created ON audits (created);
CREATE INDEX categories_metadata_created ON categories_metadata (created);
CREATE INDEX categories_metadata_updated ON categories_metadata (updated);
CREATE INDEX categories_platforms_created ON categories_platforms (created);
CREATE INDEX categories_platforms_updated ON categories_platforms (updated);
CREATE INDEX categories_created ON categories (created);
CREATE INDEX categories_updated ON categories (updated);
CREATE INDEX payment_status_log_logged ON payment_status_log (logged);
CREATE INDEX payment_transactions_registered ON payment_transactions (registered);
CREATE INDEX product_groups_created ON product_groups (created);
CREATE INDEX product_groups_updated ON product_groups (updated);
CREATE INDEX product_periods_created ON product_periods (created);
CREATE INDEX product_periods_updated ON product_periods (updated);
CREATE INDEX products_created ON products (created);
CREATE INDEX products_updated ON products (updated);
CREATE INDEX subtitles_created ON subtitles (created);
CREATE INDEX subtitles_updated ON subtitles (updated);
CREATE INDEX users_access_comments_created ON users_access_comments (created);
CREATE INDEX users_access_crm_created ON users_access_crm (created);
CREATE INDEX users_access_crm_updated ON users_access_crm (updated);
CREATE INDEX user_access_registered ON user_access (registered);
CREATE INDEX user_access_updated ON user_access (updated);
CREATE INDEX users_login_logout_log_time ON users_login_logout (log_time);
CREATE INDEX users_metadata_created ON users_metadata (created);
CREATE INDEX users_metadata_updated ON users_metadata (updated);
CREATE INDEX users_payment_methods_created ON users_payment_methods (created);
CREATE INDEX users_payment_methods_updated ON users_payment_methods (updated);
CREATE INDEX users_profiles_created ON users_profiles (created);
CREATE INDEX users_profiles_updated ON users_profiles (updated);
CREATE INDEX users_registration_date ON users (registration_date);
CREATE INDEX users_updated ON users (updated);
CREATE INDEX video_files_deleted_deleted ON video_files_deleted (deleted);
CREATE INDEX video_files_published_created ON video_files_published (created);
CREATE INDEX video_files_published_updated ON video_files_published (updated);
CREATE INDEX video_files_created ON video_files (created);
CREATE INDEX video_files_updated ON video_files (updated);
CREATE INDEX vouchers_created ON vouchers (created);
CREATE INDEX vouchers_updated ON vouchers (updated);
CREATE INDEX acquisition_manager_contracts_created ON acquisition_manager_contracts (created);
CREATE INDEX acquisition_manager_contracts_updated ON acquisition_manager_contracts (updated);
CREATE INDEX acquisition_manager_episodes_created ON acquisition_manager_episodes (created);
CREATE INDEX acquisition_manager_episodes_updated ON acquisition_manager_episodes (updated);
CREATE INDEX acquisition_manager_licenses_created ON acquisition_manager_licenses (created);
CREATE INDEX acquisition_manager_licenses_updated ON acquisition_manager_licenses (updated);
CREATE INDEX acquisition_manager_movies_created ON acquisition_manager_movies (created);
CREATE INDEX acquisition_manager_movies_updated ON acquisition_manager_movies (updated);
CREATE INDEX acquisition_manager_permissions_created ON acquisition_manager_permissions (created);
CREATE INDEX acquisition_manager_permissions_updated ON acquisition_manager_permissions (updated);
CREATE INDEX acquisition_manager_providers_created ON acquisition_manager_providers (created);
CREATE INDEX acquisition_manager_providers_updated ON acquisition_manager_providers (updated);
CREATE INDEX acquisition_manager_seasons_created ON acquisition_manager_seasons (created);
CREATE INDEX acquisition_manager_seasons_updated ON acquisition_manager_seasons (updated);
CREATE INDEX acquisition_manager_shows_created ON acquisition_manager_shows (created);
CREATE INDEX acquisition_manager_shows_updated ON acquisition_manager_shows (updated);
CREATE INDEX vvs_campaign_products_created ON vvs_campaign_products (created);
CREATE INDEX vvs_campaign_products_updated ON vvs_campaign_products (updated);
CREATE INDEX vvs_campaigns_created ON vvs_campaigns (created);
CREATE INDEX vvs_campaigns_updated ON vvs_campaigns (updated);
CREATE INDEX vvs_discounts_created ON vvs_discounts (created);
CREATE INDEX vvs_discounts_updated ON vvs_discounts (updated);
CREATE INDEX vvs_pools_created ON vvs_pools (created);
CREATE INDEX vvs_pools_updated ON vvs_pools (updated);
CREATE INDEX vvs_products_created ON vvs_products (created);
CREATE INDEX vvs_products_updated ON vvs_products (updated);
CREATE INDEX vvs_voucher_redemptions_redeemed ON vvs_voucher_redemptions (redeemed);
CREATE INDEX vvs_vouchers_created ON vvs_vouchers (created);
CREATE INDEX vvs_vouchers_updated ON vvs_vouchers (updated);
